internal import ArgumentParser
internal import SandboxModel

/// One change for several sandboxes, each on its own.
enum StateChange {
    /// Goes on after a failure; shows on a terminal which `verb` is under way; tells of all, and throws the last one's code at the end.
    static func apply(
        _ verb: String, _ sandboxes: [String], _ format: OutputFormat,
        _ change: @escaping @Sendable (String) async throws -> SandboxResource
    ) async throws {
        var changed: [SandboxResource] = []
        var failure: SandboxError?
        for sandbox in sandboxes {
            do {
                let resource = try await Spinner("\(verb) \(sandbox)", format).during { try await change(sandbox) }
                changed.append(resource)
                if format == .table { try Output.line("\(sandbox): \(resource.state.rawValue)") }
            } catch let error as SandboxError where sandboxes.count > 1 {
                failure = error
                ErrorReport.write(ErrorReport.text(of: error, format: format))
            }
        }
        if format == .json {
            if sandboxes.count == 1, let only = changed.first {
                try Output.resource(only)
            } else {
                try Output.resource(changed)
            }
        }
        if let failure { throw ExitCode(failure.code.row.exitCode) }
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct DoctorCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what this machine needs, and say how to mend it.",
        discussion: "Exits with 1 if something that is needed is missing.\n\n  sudo nightjar doctor")

    @Option(name: .customLong("data-dir"), help: "The server's data directory.") var dataDirectory = "/var/lib/nightjar"
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let server = try? await connection.withClient { try await $0.version() }
        let findings = await Diagnosis(dataDirectory: dataDirectory, server: server).findings()
        if output.format == .json {
            try Output.resource(findings)
        } else {
            for finding in findings { try show(finding) }
        }
        if findings.contains(where: { $0.verdict == .failure }) { throw ExitCode.failure }
    }

    private func show(_ finding: Diagnosis.Finding) throws {
        let mark =
            switch finding.verdict {
            case .ok: "ok     "
            case .warning: "note   "
            case .failure: "MISSING"
            }
        try Output.line("\(mark)  \(finding.what): \(finding.detail)")
        if let hint = finding.hint { try Output.line("         \(hint)") }
    }
}

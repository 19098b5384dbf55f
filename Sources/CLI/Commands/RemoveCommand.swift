internal import ArgumentParser
internal import Client
internal import SandboxModel

struct RemoveCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Delete sandboxes and all that they hold.",
        discussion: """
              nightjar rm work other
              nightjar rm --all
              nightjar rm --all -f
            """,
        aliases: ["delete"])

    @Flag(help: "Every sandbox; asks first unless -f is given.")
    var all = false
    @Flag(name: [.customShort("f"), .long], help: "Do not ask, and do not mind those that do not exist.")
    var force = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Ids or names.", completion: NameCompletion.sandboxes) var sandboxes: [String] = []

    func validate() throws {
        guard all != !sandboxes.isEmpty else { throw ValidationError("Name the sandboxes, or give --all.") }
    }

    func run() async throws {
        try await connection.withClient { client in
            var targets = sandboxes
            if all {
                targets = try await client.allSandboxes().map(\.id.rawValue)
                guard force || targets.isEmpty || confirm(targets.count) else { throw ExitCode.failure }
            }
            try await delete(targets, client)
        }
    }

    private func delete(_ targets: [String], _ client: NightjarClient) async throws {
        var deleted: [String] = []
        var failure: SandboxError?
        for target in targets {
            do {
                try await client.delete(target)
                deleted.append(target)
                if output.format == .table { try Output.line(target) }
            } catch let error as SandboxError where error.code == .sandboxNotFound && (force || all) {
            } catch let error as SandboxError where targets.count > 1 {
                failure = error
                ErrorReport.write(ErrorReport.text(of: error, format: output.format))
            }
        }
        if output.format == .json { try Output.resource(["deleted": deleted]) }
        if let failure { throw ExitCode(failure.code.row.exitCode) }
    }

    private func confirm(_ count: Int) -> Bool {
        guard TerminalMode.standardInputIsTerminal else {
            ErrorReport.write("error: nobody can be asked here\nhint: add -f to delete all \(count) sandboxes")
            return false
        }
        print("Delete all \(count) sandboxes and all that they hold? [y/N] ", terminator: "")
        return ["y", "yes"].contains(readLine()?.lowercased())
    }
}

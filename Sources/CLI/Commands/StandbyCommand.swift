internal import ArgumentParser
internal import Client
internal import SandboxModel

struct StandbyCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "standby",
        abstract: "Put sandboxes to sleep on disk: no process, no RAM.",
        discussion: "A call wakes them where they were.\n\n  nightjar standby work")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Ids or names.", completion: NameCompletion.sandboxes) var sandboxes: [String]

    func run() async throws {
        try await connection.withClient { client in
            try await StateChange.apply("standby", sandboxes, output.format) { try await client.standby($0) }
        }
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct StopCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "End the processes of sandboxes; the files stay.",
        discussion: "  nightjar stop work")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Ids or names.", completion: NameCompletion.sandboxes) var sandboxes: [String]

    func run() async throws {
        try await connection.withClient { client in
            try await StateChange.apply("stop", sandboxes, output.format) { try await client.stop($0) }
        }
    }
}

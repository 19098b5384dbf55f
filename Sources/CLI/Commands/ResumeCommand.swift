internal import ArgumentParser
internal import Client
internal import SandboxModel

struct ResumeCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Bring sandboxes back from pause, standby, stop or failure.",
        discussion: "  nightjar resume work")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Ids or names.", completion: NameCompletion.sandboxes) var sandboxes: [String]

    func run() async throws {
        try await connection.withClient { client in
            try await StateChange.apply("resume", sandboxes, output.format) { try await client.resume($0) }
        }
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct PauseCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Freeze sandboxes in RAM: no CPU time, memory held.",
        discussion: "  nightjar pause work")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Ids or names.", completion: NameCompletion.sandboxes) var sandboxes: [String]

    func run() async throws {
        try await connection.withClient { client in
            try await StateChange.apply("pause", sandboxes, output.format) { try await client.pause($0) }
        }
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct VersionCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the versions of this program and of the server.")

    struct Versions: Encodable {
        var client: String
        var server: VersionResource?
    }

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let server = try? await connection.withClient { try await $0.version() }
        if output.format == .json {
            return try Output.resource(Versions(client: NightjarVersion.current, server: server))
        }
        try Output.line("client  \(NightjarVersion.current)")
        try Output.line("server  \(server.map { "\($0.version) (interface \($0.api))" } ?? "does not answer")")
    }
}

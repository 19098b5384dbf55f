internal import ArgumentParser
internal import Client
internal import SandboxModel

struct CreateCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a sandbox and print its id.",
        discussion: """
            With a name it is kept until it is deleted; without, it is deleted when it is no longer used.

              nightjar create --name work --idle-timeout 60
              nightjar create --template base -l team=ops --on-idle delete
            """)

    @OptionGroup var sandbox: SandboxOptions
    @Option(
        name: [.customShort("e"), .customLong("env")],
        help: "KEY=VALUE of every process's environment; may be repeated.")
    var environment: [KeyValue] = []
    @Option(help: "Repeating the call with the same key returns the same sandbox.")
    var idempotencyKey: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var spec = sandbox.spec()
        spec.environment = KeyValue.dictionary(environment)
        let key = idempotencyKey ?? randomToken(32)
        let (complete, spinner) = (spec, Spinner("creating \(spec.name ?? "a sandbox")", output.format))
        let created = try await connection.withClient { client in
            try await spinner.during { try await client.create(complete, idempotencyKey: key) }
        }
        if output.format == .json { try Output.resource(created) } else { try Output.line(created.id.rawValue) }
    }
}

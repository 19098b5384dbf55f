internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct ShellCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Open a terminal in a sandbox; wakes it if it sleeps.",
        discussion: """
            Every key goes through, Ctrl-C too. Ctrl-] leaves the shell running and tells how to come back.

              nightjar shell work
              nightjar shell -u root work
              nightjar shell work -- python3
              nightjar shell work --process 3 --offset 1841
            """)

    @Option(name: [.customShort("e"), .customLong("env")], help: "KEY=VALUE of its environment; may be repeated.")
    var environment: [KeyValue] = []
    @Option(name: [.customShort("w"), .customLong("workdir")], help: "Its directory; default: the template's.")
    var directory: String?
    @Option(name: [.customShort("u"), .long], help: "name, uid, name:group or uid:gid; default: the template's.")
    var user: String?
    @Option(help: "Come back to this process instead of starting a shell.")
    var process: UInt32?
    @Option(help: "Where its output is continued; without it, all that is retained is shown.")
    var offset: Int64?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String
    @Argument(help: "A command instead of the shell, after --.") var command: [String] = []

    /// The login shell that the sandbox has.
    private static let shell = [
        "/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash -l; else exec sh -l; fi",
    ]

    func run() async throws {
        let (end, id) = try await connection.withClient { client in
            let monitor = SignalMonitor(ProcessSession.signals)
            defer { monitor.end() }
            let id = if let process { process } else { try await start(client).id }
            let session = ProcessSession(
                client: client, sandbox: sandbox, process: id, offset: offset ?? 0, passesInput: true,
                hasTerminal: true,
                rule: .detach, monitor: monitor)
            return (try await session.run(), id)
        }
        if case .detached(let offset) = end {
            ErrorReport.write("\r\ndetached; process \(id) goes on. Come back:")
            ErrorReport.write("  nightjar shell \(sandbox) --process \(id) --offset \(offset)")
        }
        throw ProcessRunner.exit(for: end)
    }

    private func start(_ client: NightjarClient) async throws -> ProcessResource {
        var request = ExecRequest(command: command.isEmpty ? Self.shell : command)
        var variables = ["TERM": ProcessInfo.processInfo.environment["TERM"] ?? "xterm-256color"]
        variables.merge(KeyValue.dictionary(environment)) { $1 }
        request.env = variables
        request.directory = directory
        request.user = user
        request.terminal = TerminalMode.size()
        let (sandbox, complete) = (sandbox, request)
        return try await Spinner("opening \(sandbox)", output.format).during {
            try await client.start(sandbox, complete)
        }
    }
}

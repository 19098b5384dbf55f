internal import ArgumentParser
internal import Client
internal import SandboxModel

struct ExecCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a command in a sandbox; wakes it if it sleeps.",
        discussion: """
            Output comes as it is written, input is passed on if it is not a terminal, signals go to the command, and the \
            exit code is the command's.

              nightjar exec work -- ls -l /workspace
              echo hello | nightjar exec work -- cat
              nightjar exec -d work -- python3 -m http.server
            """)

    @OptionGroup var process: ProcessOptions
    @Flag(
        name: [.customShort("d"), .customLong("detach")],
        help: "Leave it in the background, where it does not keep the sandbox awake, and print its process id.")
    var detached = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String
    @Argument(parsing: .captureForPassthrough, help: "The command.")
    var command: [String] = []

    func validate() throws {
        _ = try commandWords(command, of: Self.self)
        if detached && process.interactive { throw ValidationError("-d and -i contradict each other.") }
    }

    func run() async throws {
        let words = try commandWords(command, of: Self.self)
        if detached { return try await start(words) }
        let end = try await connection.withClient { client in
            let monitor = SignalMonitor(ProcessSession.signals)
            defer { monitor.end() }
            return try await ProcessRunner(client: client, sandbox: sandbox, options: process, monitor: monitor).run(
                words)
        }
        throw ProcessRunner.exit(for: end)
    }

    private func start(_ words: [String]) async throws {
        var request = process.request(words)
        request.background = true
        if process.terminal { request.terminal = TerminalMode.size() }
        let started = try await connection.withClient { try await $0.start(sandbox, request) }
        if output.format == .json { try Output.resource(started) } else { try Output.line("\(started.id)") }
    }
}

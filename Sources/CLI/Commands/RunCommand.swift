internal import ArgumentParser
internal import Client
internal import SandboxModel

struct RunCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Create a sandbox, run a command in it, and delete it again.",
        discussion: """
            Output comes as it is written, input is passed on if it is not a terminal, signals go to the command, and the \
            exit code is the command's. The sandbox is deleted at the end, also when this is interrupted, unless it has a \
            name or --keep is given.

              nightjar run -- python3 -c 'print(1)'
              nightjar run -it -- bash
              tar c src | nightjar run --name build -- tar x -C /workspace
            """)

    @OptionGroup var sandbox: SandboxOptions
    @OptionGroup var process: ProcessOptions
    @Flag(help: "Keep the sandbox; its id is told on standard error.")
    var keep = false
    @Flag(help: "Delete the sandbox at the end although it has a name.")
    var rm = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(parsing: .captureForPassthrough, help: "The command.")
    var command: [String] = []

    private var isKept: Bool { keep || (sandbox.name != nil && !rm) }

    func validate() throws {
        _ = try commandWords(command, of: Self.self)
        if keep && rm { throw ValidationError("--keep and --rm contradict each other.") }
    }

    func run() async throws {
        let words = try commandWords(command, of: Self.self)
        let end = try await connection.withClient { client in
            // Taken over before the sandbox exists, so that an interruption cannot leave it behind.
            let monitor = SignalMonitor(ProcessSession.signals)
            defer { monitor.end() }
            let spec = spec()
            let created = try await Spinner("creating a sandbox", output.format).during {
                try await client.create(spec, idempotencyKey: randomToken(32))
            }
            let id = created.id.rawValue
            do {
                let runner = ProcessRunner(client: client, sandbox: id, options: process, monitor: monitor)
                let end = try await runner.run(words)
                try await finish(client, created)
                return end
            } catch {
                try? await finish(client, created)
                throw error
            }
        }
        throw ProcessRunner.exit(for: end)
    }

    /// An unnamed sandbox whose client was killed must not stay for ever.
    private func spec() -> SandboxSpec {
        var spec = sandbox.spec()
        if !isKept {
            spec.lifecycle.onIdle = sandbox.onIdle ?? .delete
            spec.lifecycle.idleTimeout = sandbox.idleTimeout ?? 60
        }
        return spec
    }

    private func finish(_ client: NightjarClient, _ sandbox: SandboxResource) async throws {
        if isKept {
            if keep { ErrorReport.write("sandbox: \(sandbox.name ?? sandbox.id.rawValue)") }
        } else {
            do {
                try await client.delete(sandbox.id.rawValue)
            } catch let error as SandboxError where error.code == .sandboxNotFound {}
        }
    }
}

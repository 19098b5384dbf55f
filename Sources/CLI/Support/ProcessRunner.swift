internal import ArgumentParser
internal import Client
internal import SandboxModel

/// Starts a foreground process and stays with it to its end: what `run` and `exec` do.
struct ProcessRunner: Sendable {
    let client: NightjarClient
    let sandbox: String
    let options: ProcessOptions
    let monitor: SignalMonitor

    init(client: NightjarClient, sandbox: String, options: ProcessOptions, monitor: SignalMonitor) {
        self.client = client
        self.sandbox = sandbox
        self.options = options
        self.monitor = monitor
    }

    func run(_ words: [String]) async throws -> ProcessSession.End {
        let passesInput = options.interactive || !TerminalMode.standardInputIsTerminal
        var request = options.request(words)
        // Enough for what a fast process writes before we are attached; from then on it waits for its reader.
        request.retainedOutput = 16 << 20
        if options.terminal {
            request.terminal = TerminalMode.size()
        } else {
            request.openStdin = passesInput
        }
        let complete = request
        let process = try await Spinner("starting in \(sandbox)", .table).during {
            try await client.start(sandbox, complete)
        }
        return try await ProcessSession(
            client: client, sandbox: sandbox, process: process.id, passesInput: passesInput,
            hasTerminal: options.terminal, monitor: monitor
        ).run()
    }

    /// The exit code that a session ends with.
    static func exit(for end: ProcessSession.End) -> ExitCode {
        switch end {
        case .exited(let exit):
            if let text = exit.cause.explanation { ErrorReport.write("error: \(text)") }
            return ExitCode(exit.code)
        case .detached: return .success
        case .abandoned(let signal): return ExitCode(128 + signal)
        }
    }
}

extension ExitCause {
    /// What the command's own output may not say.
    var explanation: String? {
        switch self {
        case .exited, .signal: nil
        case .timedOut: "the command was ended because its time was up"
        case .outOfMemory: "the sandbox was out of memory, and the process that held most was ended (limits.memory_mib)"
        case .diskFull: "the command failed while the sandbox's disk was full"
        case .processesExhausted: "the command failed while the sandbox could start no more processes (limits.pids)"
        }
    }
}

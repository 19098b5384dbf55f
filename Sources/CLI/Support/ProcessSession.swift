internal import Client
internal import Glibc
internal import SandboxModel
internal import Synchronization

/// Connects this process's standard streams, terminal and signals with a process inside a sandbox.
///
/// When the connection is lost (the server restarts, for example) it attaches again where it was, for half a minute.
struct ProcessSession: Sendable {
    enum End: Sendable {
        case exited(ExitResource)
        /// The process goes on; its output up to here was shown.
        case detached(offset: Int64)
        /// The user insisted on ending by this signal.
        case abandoned(signal: Int32)
    }

    enum SignalRule: Sendable {
        /// They go to the process; the third ends the session.
        case forward
        /// Those that end a session detach (Ctrl-C goes through the terminal).
        case detach
    }

    static let detachKey: UInt8 = 0x1D
    static let signals: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH]

    let client: NightjarClient
    let sandbox: String
    let process: UInt32
    var offset: Int64 = 0
    var passesInput = false
    var hasTerminal = false
    var rule = SignalRule.forward
    let monitor: SignalMonitor

    private static let patience = Duration.seconds(30)

    /// Returns when the process has ended or the session was left.
    func run() async throws -> End {
        let link = Link(offset: offset)
        let raw = hasTerminal && passesInput && TerminalMode.standardInputIsTerminal
        if raw { TerminalMode.makeRaw() }
        defer { TerminalMode.restore() }
        return try await withThrowingTaskGroup(of: End?.self) { group in
            group.addTask { try await receive(link) }
            group.addTask { try await handleSignals(link) }
            if passesInput { group.addTask { try await passInput(link, raw: raw) } }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                if let end { return end }
            }
            throw CancellationError()
        }
    }

    // MARK: Output

    private func receive(_ link: Link) async throws -> End? {
        let outputs = Outputs()
        var deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                return try await client.attach(sandbox, process, offset: link.offset) { attachment in
                    if hasTerminal {
                        let size = TerminalMode.size()
                        try await attachment.resize(columns: size.columns, rows: size.rows)
                    }
                    defer { link.set(nil) }
                    for try await event in attachment.events {
                        deadline = .now + Self.patience
                        if let exit = try await show(event, from: attachment, link, outputs) { return .exited(exit) }
                    }
                    return nil
                }
            } catch let error as SandboxError where error.code == .unavailable && ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private func show(
        _ event: AttachmentEvent, from attachment: ProcessAttachment, _ link: Link, _ outputs: Outputs
    ) async throws -> ExitResource? {
        switch event {
        case .attached(_, let start):
            if start > link.offset {
                ErrorReport.write("warning: \(start - link.offset) bytes of output are no longer retained")
            }
            link.offset = start
            link.set(attachment)
        case .stdout(let bytes):
            try await outputs.out.write(bytes)
            link.offset += Int64(bytes.count)
        case .stderr(let bytes):
            try await outputs.error.write(bytes)
            link.offset += Int64(bytes.count)
        case .exit(let exit): return exit
        }
        return nil
    }

    private struct Outputs: Sendable {
        let out = DescriptorWriter(STDOUT_FILENO)
        let error = DescriptorWriter(STDERR_FILENO)
    }

    // MARK: Input

    private func passInput(_ link: Link, raw: Bool) async throws -> End? {
        let reader = DescriptorReader(STDIN_FILENO)
        while let bytes = try await reader.read() {
            guard raw, let key = bytes.firstIndex(of: Self.detachKey) else {
                try await link.withAttachment { try await $0.send(bytes) }
                continue
            }
            if key > 0 { try await link.withAttachment { try await $0.send(Array(bytes[..<key])) } }
            return .detached(offset: link.offset)
        }
        try await link.withAttachment { try await $0.closeInput() }
        return nil
    }

    // MARK: Signals

    private func handleSignals(_ link: Link) async throws -> End? {
        var received = 0
        for await number in monitor.signals {
            if number == SIGWINCH {
                guard hasTerminal, let attachment = link.current else { continue }
                let size = TerminalMode.size()
                try? await attachment.resize(columns: size.columns, rows: size.rows)
                continue
            }
            if rule == .detach { return .detached(offset: link.offset) }
            received += 1
            guard received < 3, let attachment = link.current else { return .abandoned(signal: number) }
            try? await attachment.signal(Int(number))
        }
        return nil
    }

    /// The connection of the moment, and how far the output was shown.
    private final class Link: Sendable {
        private struct State {
            var attachment: ProcessAttachment?
            var offset: Int64
        }
        private let state: Mutex<State>

        init(offset: Int64) { state = Mutex(State(offset: offset)) }

        var offset: Int64 {
            get { state.withLock { $0.offset } }
            set { state.withLock { $0.offset = newValue } }
        }

        var current: ProcessAttachment? { state.withLock { $0.attachment } }

        func set(_ attachment: ProcessAttachment?) { state.withLock { $0.attachment = attachment } }

        /// Waits for a connection, and takes the next one if that was lost meanwhile.
        func withAttachment(_ body: (ProcessAttachment) async throws -> Void) async throws {
            while true {
                try Task.checkCancellation()
                if let attachment = current {
                    do {
                        return try await body(attachment)
                    } catch let error as CancellationError {
                        throw error
                    } catch {
                        // Whoever receives notices the loss, too, and connects again.
                    }
                }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }
}

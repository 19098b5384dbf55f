internal import NIOCore
internal import SandboxModel
public import Wire

extension GuestSession {
    /// Starts a process and receives its output from the first byte.
    ///
    /// The process waits while nobody reads. It goes on when the stream ends early, unless
    /// ``Wire/ProcessStart/killOnDetach`` is set.
    ///
    /// - Throws: ``SandboxError`` with `cannot_execute`, `no_such_user`, `file_not_found` (the working directory),
    ///   `invalid_request`, or as ``GuestSession`` says.
    public func start(_ start: ProcessStart) async throws -> ProcessStream {
        var start = start
        start.attach = true
        let (id, reply) = try await core.open(
            .processStart(start), .process, about: .command(start), deadline: answerDeadline)
        let handle = StreamHandle(core, id)
        guard case .started(let info) = reply else { throw core.broken("a wrong reply to a start") }
        return ProcessStream(handle, info: info, startOffset: 0)
    }

    /// Starts a process whose output is retained for those who attach later.
    ///
    /// - Throws: As ``start(_:)``.
    public func launch(_ start: ProcessStart) async throws -> ProcessInfo {
        var start = start
        start.attach = false
        let reply = try await core.ask(.processStart(start), about: .command(start), deadline: answerDeadline)
        guard case .started(let info) = reply else { throw core.broken("a wrong reply to a launch") }
        return info
    }

    /// Receives a process's output from an offset, also after it has exited.
    ///
    /// - Throws: ``SandboxError`` with `process_not_found`, or as ``GuestSession`` says.
    public func attach(_ attach: ProcessAttach) async throws -> ProcessStream {
        let (id, reply) = try await core.open(
            .processAttach(attach), .process, about: .process(attach.id), deadline: answerDeadline)
        let handle = StreamHandle(core, id)
        guard case .attached(let info, let offset) = reply, offset >= 0 else {
            throw core.broken("a wrong reply to an attach")
        }
        return ProcessStream(handle, info: info, startOffset: offset)
    }

    /// What a guest may take longer than a process's timeout to end it and to say so.
    private static var timeoutMargin: TimeAmount { .seconds(30) }

    /// Runs a process to its end: the fast path of exec.
    ///
    /// Request and input leave in one write, and the caller is woken once, at the end. Cancelling detaches: the process
    /// goes on unless ``Wire/ProcessStart/killOnDetach`` is set.
    ///
    /// - Parameters:
    ///   - start: `attach` is not looked at; `input` becomes a pipe if there is input.
    ///   - input: All of its standard input; `nil`: none, and a pipe is closed at once.
    ///   - outputLimit: Bytes kept of each output; the rest is read and dropped.
    /// - Throws: As ``start(_:)``, and `deadline_exceeded` if the guest does not keep the process's timeout. A process
    ///   that fails is a result, not an error.
    public func run(_ start: ProcessStart, input: [UInt8]?, outputLimit: Int) async throws -> ProcessResult {
        var start = start
        start.attach = true
        if input != nil, start.terminal == nil { start.input = .pipe }
        let feed = input ?? (start.input == .pipe && start.terminal == nil ? [] : nil)
        // The guest ends it after its timeout. A guest that does not is not waited for.
        let milliseconds = Int64(clamping: min(start.timeoutMilliseconds, 365 * 86_400_000))
        let timeLimit = milliseconds > 0 ? TimeAmount.milliseconds(milliseconds) + Self.timeoutMargin : nil
        let collected = try await core.collect(
            .processStart(start), input: feed, limit: max(0, outputLimit), deadline: answerDeadline,
            timeLimit: timeLimit)
        if let status = collected.status { throw Subject.command(start).error(for: status) }
        let replies = collected.messages.map { try? Reply(decoding: $0) }
        guard replies.count == 2, case .started(let info)? = replies[0], case .exited(let exit)? = replies[1] else {
            throw core.broken("wrong replies to a run")
        }
        return ProcessResult(
            id: info.id, exit: exit, stdout: collected.stdout, stderr: collected.stderr,
            stdoutTruncated: collected.stdoutTruncated, stderrTruncated: collected.stderrTruncated)
    }

    /// Runs a process before anything else is started, and forgets it: the processes that follow start sooner.
    ///
    /// It does not matter how it ends, or whether it can be started at all.
    ///
    /// - Throws: ``SandboxError`` as ``GuestSession`` says; `invalid_request` if something was started already.
    public func rehearse(_ start: ProcessStart) async throws {
        do {
            try await command(.rehearse(start), about: .command(start))
        } catch let error as SandboxError where [.cannotExecute, .fileNotFound, .noSuchUser].contains(error.code) {
            return
        }
    }

    /// Waits until a process has exited, however long that takes; returns at once if it has.
    ///
    /// - Throws: ``SandboxError`` with `process_not_found`, or as ``GuestSession`` says.
    public func wait(process id: UInt32) async throws -> ProcessExit {
        let reply = try await core.ask(.processWait(id: id), about: .process(id), deadline: nil)
        guard case .exited(let exit) = reply else { throw core.broken("a wrong reply to a wait") }
        return exit
    }

    /// Sends a signal to a process, or to its group.
    ///
    /// - Throws: ``SandboxError`` with `process_not_found`, `process_exited`, or as ``GuestSession`` says.
    public func signal(process id: UInt32, signal: UInt8, group: Bool) async throws {
        try await command(.processSignal(id: id, signal: signal, group: group), about: .process(id))
    }

    /// Changes the size of a process's terminal.
    ///
    /// - Throws: ``SandboxError`` with `process_not_found`, `process_exited`, `unsupported` (it has no terminal), or as
    ///   ``GuestSession`` says.
    public func resize(process id: UInt32, columns: UInt16, rows: UInt16) async throws {
        try await command(.processResize(id: id, columns: columns, rows: rows), about: .process(id))
    }

    /// The processes that the host started, running and exited ones.
    public func processes() async throws -> [ProcessInfo] {
        let reply = try await core.ask(.processList, about: .system("the processes"), deadline: answerDeadline)
        guard case .processes(let infos) = reply else { throw core.broken("a wrong reply to a process list") }
        return infos
    }

    /// Every process of the sandbox.
    public func processTable() async throws -> [TableEntry] {
        let reply = try await core.ask(.processTable, about: .system("the process table"), deadline: answerDeadline)
        guard case .table(let entries) = reply else { throw core.broken("a wrong reply to a process table") }
        return entries
    }
}

/// What a process that ran to its end left.
public struct ProcessResult: Sendable, Hashable {
    /// As in ``Wire/ProcessInfo/id``.
    public var id: UInt32
    /// How it ended.
    public var exit: ProcessExit
    /// Its standard output, up to the limit.
    public var stdout: [UInt8]
    /// Its standard error, up to the limit.
    public var stderr: [UInt8]
    /// Whether the limit cut something off.
    public var stdoutTruncated: Bool
    /// Whether the limit cut something off.
    public var stderrTruncated: Bool
    /// Makes a result of its parts.
    public init(
        id: UInt32, exit: ProcessExit, stdout: [UInt8], stderr: [UInt8], stdoutTruncated: Bool, stderrTruncated: Bool
    ) {
        self.id = id
        self.exit = exit
        self.stdout = stdout
        self.stderr = stderr
        self.stdoutTruncated = stdoutTruncated
        self.stderrTruncated = stderrTruncated
    }
}

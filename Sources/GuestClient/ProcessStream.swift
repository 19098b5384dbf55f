internal import SandboxModel
internal import Synchronization
public import Wire

/// Owns one stream of a session: when the last reference goes, the stream is closed.
final class StreamHandle: Sendable {
    let core: SessionCore
    let id: UInt32

    init(_ core: SessionCore, _ id: UInt32) {
        self.core = core
        self.id = id
    }

    deinit { core.forget(id) }

    func next() async throws -> StreamItem? { try await core.next(id) }
    /// The next item of a stream on which the guest only has to send what it has.
    func nextWithoutStall() async throws -> StreamItem? {
        try await core.next(id, stall: SessionCore.deadline(after: SessionCore.stall))
    }
    func write(_ bytes: [UInt8], end: Bool = false) async throws -> Bool { try await core.write(id, bytes, end: end) }
    func close() { core.forget(id) }
}

/// What happens on a ``ProcessStream``.
public enum ProcessEvent: Sendable, Hashable {
    /// Output, in order. `offset` counts the bytes of both outputs before it since the process began.
    case output(bytes: [UInt8], stderr: Bool, offset: Int64)
    /// The last event.
    case exited(ProcessExit)
}

/// An attached process: its output and its input.
///
/// One task reads by ``next()``; any task may write. A reader that does not read makes the process wait and stalls
/// nobody else. When the stream is let go of, it detaches.
public final class ProcessStream: AsyncSequence, Sendable {
    /// What ``next()`` returns.
    public typealias Element = ProcessEvent

    /// The process, as it was when the stream began.
    public let info: ProcessInfo
    /// Count of output bytes before the first one of this stream.
    public let startOffset: Int64
    private let handle: StreamHandle
    private let position: Mutex<Int64>

    init(_ handle: StreamHandle, info: ProcessInfo, startOffset: Int64) {
        self.handle = handle
        self.info = info
        self.startOffset = startOffset
        position = Mutex(startOffset)
    }

    /// The next event; `nil` after ``ProcessEvent/exited(_:)`` and after ``detach()``.
    ///
    /// Cancelling the task that waits here detaches.
    ///
    /// - Throws: ``SandboxError`` with `output_lost` (an observer was too slow), `guest_failed`, `unavailable`,
    ///   `cancelled`.
    public func next() async throws -> ProcessEvent? {
        while true {
            switch try await handle.next() {
            case .data(let bytes, let stderr):
                let offset = position.withLock { position in
                    defer { position &+= Int64(bytes.count) }
                    return position
                }
                return .output(bytes: bytes, stderr: stderr, offset: offset)
            case .message(let bytes):
                guard case .exited(let exit)? = try? Reply(decoding: bytes) else {
                    throw handle.core.broken("a wrong reply on a process's stream")
                }
                return .exited(exit)
            case .end: continue
            case .closed(let status): throw Subject.process(info.id).error(for: status)
            case nil: return nil
            }
        }
    }

    /// Sends input, and returns when all of it is on its way. Waits while the process does not read.
    ///
    /// - Throws: ``SandboxError`` with `process_exited`, `guest_failed`, `unavailable`, `cancelled` (which detaches).
    public func write(_ bytes: [UInt8]) async throws {
        guard try await handle.write(bytes) else { throw closed }
    }

    /// Closes the process's input; it reads an end of file. Safe to repeat.
    ///
    /// - Throws: As ``write(_:)``.
    public func closeInput() async throws {
        guard try await handle.write([], end: true) else { throw closed }
    }

    /// Ends this stream and leaves the process running (unless ``Wire/ProcessStart/killOnDetach`` is set).
    public func detach() async { handle.close() }

    private var closed: SandboxError {
        SandboxError(
            .processExited, "Process \(info.id) takes no more input: it has exited, closed its input, or was detached.")
    }

    /// Iterates by ``ProcessStream/next()``.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: ProcessStream
        /// The next event.
        public mutating func next() async throws -> ProcessEvent? { try await stream.next() }
    }

    /// There is one order of events, shared by all iterators.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}

internal import SandboxModel
internal import Wire

/// A connection through the channel, like a TCP connection: bytes both ways, each with an end of its own.
///
/// One task reads; any task may write. Letting go of it closes it.
public final class ByteTunnel: AsyncSequence, Sendable {
    /// What ``next()`` returns.
    public typealias Element = [UInt8]

    private let handle: StreamHandle
    private let subject: Subject

    init(_ handle: StreamHandle, about subject: Subject) {
        self.handle = handle
        self.subject = subject
    }

    /// The next bytes (at most 64 KiB); `nil` when the other side sends no more, and after ``close()``.
    ///
    /// - Throws: ``SandboxError`` if the connection broke.
    public func next() async throws -> [UInt8]? {
        switch try await handle.next() {
        case .data(let bytes, _): return bytes
        case .end, nil: return nil
        case .closed(let status):
            guard status.code == .ok else { throw subject.error(for: status) }
            return nil
        case .message: throw handle.core.broken("a reply within a connection")
        }
    }

    /// Sends bytes, and returns when all are on their way. Waits while the other side does not read.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` if the connection is closed, `guest_failed`, `cancelled` (which closes it).
    public func write(_ bytes: [UInt8]) async throws {
        guard try await handle.write(bytes) else { throw closed }
    }

    /// Tells the other side that no more bytes come; reading goes on. Safe to repeat.
    ///
    /// - Throws: As ``write(_:)``.
    public func closeWrite() async throws {
        guard try await handle.write([], end: true) else { throw closed }
    }

    /// Closes both directions at once; what was not read is dropped.
    public func close() { handle.close() }

    private var closed: SandboxError { SandboxError(.unavailable, "The connection inside the sandbox is closed.") }

    /// Iterates by ``ByteTunnel/next()``.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let tunnel: ByteTunnel
        /// The next bytes.
        public mutating func next() async throws -> [UInt8]? { try await tunnel.next() }
    }

    /// There is one order of bytes, shared by all iterators.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(tunnel: self) }
}

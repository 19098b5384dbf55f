internal import CLinux
internal import Glibc
internal import SandboxModel

/// A connected Unix stream socket whose waits are asynchronous and have a deadline.
public final class UnixSocket: Sendable {
    private let descriptor: FileDescriptor
    private let reactor: Reactor
    private let shielded: Bool

    /// Takes a connected socket, which becomes non-blocking.
    ///
    /// - Parameter shielded: Whether waits go on even when the task is cancelled.
    public init(
        _ descriptor: FileDescriptor, reactor: Reactor = .shared, shielded: Bool = false
    ) throws(SystemError) {
        try descriptor.setNonblocking(true)
        self.descriptor = descriptor
        self.reactor = reactor
        self.shielded = shielded
    }

    /// Connects to a listening socket.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes.
    ///   - shielded: Whether waits go on even when the task is cancelled.
    public static func connect(_ path: String, shielded: Bool = false) throws(SystemError) -> UnixSocket {
        let socket = nj_unix_socket(path, 0)
        guard socket >= 0 else { throw SystemError(-socket, "connect", path) }
        return try UnixSocket(FileDescriptor(owning: socket), shielded: shielded)
    }

    /// Listens on a path that does not exist yet; only this user can connect (mode 0600). Non-blocking.
    public static func listen(_ path: String, backlog: Int32 = 64) throws(SystemError) -> FileDescriptor {
        let socket = nj_unix_socket(path, max(1, backlog))
        guard socket >= 0 else { throw SystemError(-socket, "listen", path) }
        return FileDescriptor(owning: socket)
    }

    /// Takes the next connection of a listening socket, refusing other users than root and this process's own.
    public static func accept(
        _ listener: FileDescriptor, until deadline: ContinuousClock.Instant? = nil, reactor: Reactor = .shared
    ) async throws -> UnixSocket {
        while true {
            let socket = nj_accept(listener.raw)
            if socket == -EAGAIN {
                try await reactor.wait(for: listener.raw, until: deadline)
                continue
            }
            guard socket >= 0 else { throw SystemError(-socket, "accept") }
            let descriptor = FileDescriptor(owning: socket)
            let user = nj_peer_user(socket)
            if user == 0 || user == Int64(geteuid()) { return try UnixSocket(descriptor, reactor: reactor) }
        }
    }

    public func close() { descriptor.close() }

    /// Ends the connection in both directions. Unlike ``close()`` it may be called while tasks wait, which then see the
    /// end; the descriptor is closed with this object.
    public func shutdown() { Glibc.shutdown(descriptor.raw, Int32(SHUT_RDWR)) }

    /// Sends all bytes, the descriptors with the first. They stay the caller's, and are kept open by this call.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`, or a ``SystemError``.
    public func send(
        _ bytes: [UInt8], descriptors: [FileDescriptor] = [], until deadline: ContinuousClock.Instant? = nil
    ) async throws {
        var rest = bytes[...]
        // An array may be released after its last use, which would close what its bare numbers name.
        defer { withExtendedLifetime(descriptors) {} }
        var attached = descriptors.map(\.raw)
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                nj_send_descriptors(descriptor.raw, $0.baseAddress, $0.count, attached, attached.count)
            }
            if sent == -Int64(EAGAIN) {
                try await reactor.wait(for: descriptor.raw, .writable, until: deadline, shielded: shielded)
                continue
            }
            guard sent > 0 else { throw SystemError(Int32(-sent), "send") }
            attached = []
            rest = rest.dropFirst(Int(sent))
        }
    }

    /// Receives what comes next; no bytes mean that the other side has closed.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`, or a ``SystemError``.
    public func receive(
        limit: Int = 64 * 1024, until deadline: ContinuousClock.Instant? = nil
    ) async throws -> (bytes: [UInt8], descriptors: [FileDescriptor]) {
        while true {
            var descriptors = [Int32](repeating: -1, count: 16)
            var count = descriptors.count
            var received: Int64 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
                received = nj_receive_descriptors(
                    descriptor.raw, buffer.baseAddress, buffer.count, &descriptors, &count)
                filled = max(0, Int(received))
            }
            if received >= 0 { return (bytes, descriptors.prefix(count).map { FileDescriptor(owning: $0) }) }
            guard received == -Int64(EAGAIN) else { throw SystemError(Int32(-received), "receive") }
            try await reactor.wait(for: descriptor.raw, until: deadline, shielded: shielded)
        }
    }
}

extension FileDescriptor {
    /// Reads what comes next from a pipe or terminal, which becomes non-blocking; no bytes mean the end.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`, or a ``SystemError``.
    public func read(limit: Int = 16 * 1024, until deadline: ContinuousClock.Instant?) async throws -> [UInt8] {
        try setNonblocking(true)
        while true {
            var result = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
                result = Glibc.read(raw, buffer.baseAddress, buffer.count)
                filled = max(0, result)
            }
            if result >= 0 { return bytes }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { throw SystemError.last("read") }
            try await Reactor.shared.wait(for: raw, until: deadline)
        }
    }
}

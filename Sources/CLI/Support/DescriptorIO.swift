internal import Dispatch
internal import Glibc
internal import SandboxModel
internal import Synchronization

/// Reads a descriptor on a thread of its own, so that a terminal, a pipe or a slow disk blocks nobody else.
final class DescriptorReader: Sendable {
    private let descriptor: Int32
    /// Both ends of a pipe; a byte in it ends a wait.
    private let wakeup: (read: Int32, write: Int32)
    private let queue: DispatchQueue

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        wakeup = (ends[0], ends[1])
        queue = DispatchQueue(label: "nightjar.read.\(descriptor)")
    }

    deinit {
        close(wakeup.read)
        close(wakeup.write)
    }

    /// The next bytes, at most `limit`; `nil` at the end of the input.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while there is nothing to read.
    func read(upTo limit: Int = 64 * 1024) async throws -> [UInt8]? {
        let cancelled = CancelFlag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                queue.async { [self] in continuation.resume(with: Result { try wait(limit, cancelled) }) }
            }
        } onCancel: { [wakeup] in
            cancelled.set()
            var byte: UInt8 = 1
            Glibc.write(wakeup.write, &byte, 1)
        }
    }

    private func wait(_ limit: Int, _ cancelled: CancelFlag) throws -> [UInt8]? {
        while true {
            if cancelled.isSet { throw CancellationError() }
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeup.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) >= 0 || errno == EINTR else { throw Self.failed() }
            if polled[1].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 16)
                Glibc.read(wakeup.read, &bytes, bytes.count)
                continue
            }
            guard polled[0].revents != 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: limit)
            let count = Glibc.read(descriptor, &buffer, limit)
            if count > 0 { return Array(buffer[..<count]) }
            if count == 0 || errno == EIO { return nil }
            if errno != EINTR && errno != EAGAIN { throw Self.failed() }
        }
    }

    private static func failed() -> SandboxError {
        SandboxError(.internalError, "Standard input cannot be read: \(String(cString: strerror(errno))).")
    }
}

private final class CancelFlag: Sendable {
    private let flag = Atomic(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}

/// Writes a descriptor on a thread of its own.
final class DescriptorWriter: Sendable {
    private let descriptor: Int32
    private let queue: DispatchQueue

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        queue = DispatchQueue(label: "nightjar.write.\(descriptor)")
    }

    /// Returns when all bytes are written.
    ///
    /// - Throws: ``OutputClosed`` if the reader is gone.
    func write(_ bytes: [UInt8]) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            queue.async { [descriptor] in continuation.resume(with: Result { try Self.writeAll(descriptor, bytes) }) }
        }
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&polled, 1, -1)
            } else if errno == EPIPE {
                throw OutputClosed()
            } else if errno != EINTR {
                throw SandboxError(.noSpace, "The output cannot be written: \(String(cString: strerror(errno))).")
            }
        }
    }
}

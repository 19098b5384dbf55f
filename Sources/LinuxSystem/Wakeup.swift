internal import CLinux
internal import Glibc

/// Wakes one task that waits for something in memory, with the deadline and the cancellation of every other wait.
///
/// A signal before the wait is not lost: the next wait returns at once. Several signals are one.
public final class Wakeup: Sendable {
    private let event: FileDescriptor

    /// - Throws: ``SystemError`` if there are no descriptors left.
    public init() throws(SystemError) {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard descriptor >= 0 else { throw SystemError.last("eventfd") }
        event = FileDescriptor(owning: descriptor)
    }

    /// Lets the wait that is under way, or else the next one, return.
    public func signal() {
        var one: UInt64 = 1
        _ = write(event.raw, &one, 8)
    }

    /// Returns once it was signalled since the last wait. One task at a time.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`.
    public func wait(until deadline: ContinuousClock.Instant?) async throws {
        try await Reactor.shared.wait(for: event.raw, until: deadline)
        var value: UInt64 = 0
        _ = read(event.raw, &value, 8)
    }
}

internal import CLinux
internal import Glibc
internal import SandboxModel
internal import Synchronization

/// Waits for descriptors to become ready, all of them on one thread.
///
/// For the few descriptors that are not network connections: processes, control sockets. One wait at a time per
/// descriptor; it must stay open until the wait is over.
public final class Reactor: Sendable {
    public static let shared = Reactor()

    public enum Readiness: Sendable, Hashable {
        case readable
        case writable
    }

    private struct Waiter {
        var descriptor: Int32
        var deadline: ContinuousClock.Instant?
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        /// Cancelled before they began to wait.
        var cancelled: Set<UInt64> = []
        var next: UInt64 = 1
        /// When the thread looks at the deadlines again.
        var wake: ContinuousClock.Instant?
        var isStarted = false
    }

    private let epoll: Int32
    private let event: Int32
    private let state = Mutex(State())

    public init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        event = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        precondition(epoll >= 0 && event >= 0, "no descriptors left")
        var interest = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: 0))
        epoll_ctl(epoll, EPOLL_CTL_ADD, event, &interest)
    }

    /// Returns when the descriptor is ready (or its other end is gone).
    ///
    /// - Parameter shielded: Whether to wait on even when the task is cancelled, for what must not be left half done.
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`.
    public func wait(
        for descriptor: Int32, _ readiness: Readiness = .readable, until deadline: ContinuousClock.Instant? = nil,
        shielded: Bool = false
    ) async throws {
        let id = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        if shielded {
            return try await withCheckedThrowingContinuation { continuation in
                add(id, Waiter(descriptor: descriptor, deadline: deadline, continuation: continuation), readiness)
            }
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(id, Waiter(descriptor: descriptor, deadline: deadline, continuation: continuation), readiness)
            }
        } onCancel: {
            let isWaiting = state.withLock { state in
                if state.waiters[id] != nil { return true }
                state.cancelled.insert(id)
                return false
            }
            if isWaiting { finish(id, .failure(SandboxError(.cancelled, "The operation was cancelled."))) }
        }
        _ = state.withLock { $0.cancelled.remove(id) }
    }

    /// Waits for a while, even when the task is cancelled: for what must not be left half done.
    public func shieldedSleep(_ duration: Duration) async {
        let deadline = ContinuousClock.now + duration
        try? await wait(for: -1, until: deadline, shielded: true)
    }

    private func add(_ id: UInt64, _ waiter: Waiter, _ readiness: Readiness) {
        let (isCancelled, mustWake, mustStart) = state.withLock { state in
            if state.cancelled.remove(id) != nil { return (true, false, false) }
            state.waiters[id] = waiter
            let mustStart = !state.isStarted
            state.isStarted = true
            guard let deadline = waiter.deadline else { return (false, false, mustStart) }
            return (false, state.wake.map { deadline < $0 } ?? true, mustStart)
        }
        if isCancelled {
            waiter.continuation.resume(throwing: SandboxError(.cancelled, "The operation was cancelled."))
            return
        }
        if mustStart { startThread { [self] in loop() } }
        // A sleep waits for nothing but its deadline.
        let isSleep = waiter.descriptor < 0
        let events = (readiness == .readable ? EPOLLIN : EPOLLOUT).rawValue | EPOLLONESHOT.rawValue
        var interest = epoll_event(events: events, data: epoll_data_t(u64: id))
        if !isSleep, epoll_ctl(epoll, EPOLL_CTL_ADD, waiter.descriptor, &interest) != 0 {
            finish(id, .failure(SystemError.last("epoll_ctl")))
        } else if mustWake {
            var one: UInt64 = 1
            _ = write(event, &one, 8)
        }
    }

    private func finish(_ id: UInt64, _ result: Result<Void, any Error>) {
        guard let waiter = state.withLock({ $0.waiters.removeValue(forKey: id) }) else { return }
        if waiter.descriptor >= 0 { epoll_ctl(epoll, EPOLL_CTL_DEL, waiter.descriptor, nil) }
        waiter.continuation.resume(with: result)
    }

    private func loop() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), timeout())
            for event in events.prefix(Int(max(count, 0))) {
                let id = event.data.u64
                if id != 0 {
                    finish(id, .success(()))
                } else {
                    var value: UInt64 = 0
                    _ = read(self.event, &value, 8)
                }
            }
            expire()
        }
    }

    /// Milliseconds to the next deadline; -1: none.
    private func timeout() -> Int32 {
        let wake = state.withLock { state in
            state.wake = state.waiters.values.compactMap(\.deadline).min()
            return state.wake
        }
        guard let wake else { return -1 }
        let left = ContinuousClock.now.duration(to: wake) / Duration.milliseconds(1)
        return Int32(clamping: Int(max(0, left.rounded(.up))))
    }

    private func expire() {
        let now = ContinuousClock.now
        let late = state.withLock { state in
            state.waiters.filter { ($0.value.deadline ?? .now.advanced(by: .seconds(1))) <= now }.map(\.key)
        }
        for id in late { finish(id, .failure(SandboxError(.deadlineExceeded, "The operation took too long."))) }
    }
}

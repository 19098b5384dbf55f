internal import CLinux
internal import Glibc

/// The one thread that owns all state: descriptors by epoll, deadlines, and work put off to the end of a turn.
final class EventLoop {
    /// Names a registered descriptor; never reused, so that an event of a closed descriptor finds nobody.
    struct Token: Hashable { fileprivate let value: UInt64 }

    struct Events: OptionSet {
        let rawValue: UInt32
        static let read = Events(rawValue: EPOLLIN.rawValue)
        static let write = Events(rawValue: EPOLLOUT.rawValue)
        /// The other end is gone, or an error is pending.
        static let hangUp = Events(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
        static let edge = Events(rawValue: EPOLLET.rawValue)
    }

    struct Timer: Hashable { fileprivate let value: UInt64 }

    private let epoll: Int32
    private var handlers: [UInt64: (Events) -> Void] = [:]
    private var counter: UInt64 = 0
    /// Sorted by deadline, the next one last.
    private var timers: [(deadline: Int64, timer: UInt64, body: () -> Void)] = []
    private var deferred: [() -> Void] = []
    private var events = [epoll_event](repeating: epoll_event(), count: 64)

    init?() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        if epoll < 0 { return nil }
    }

    /// Milliseconds of the clock that stands still while the guest is frozen.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Nanoseconds since 1970.
    static func wallClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// `nil` if the kernel cannot watch this descriptor.
    func add(_ descriptor: Int32, _ interest: Events, _ handler: @escaping (Events) -> Void) -> Token? {
        counter += 1
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = counter
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return nil }
        handlers[counter] = handler
        return Token(value: counter)
    }

    func change(_ token: Token, _ descriptor: Int32, _ interest: Events) {
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = token.value
        epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event)
    }

    /// Forgets a descriptor; before it is closed.
    func remove(_ token: Token, _ descriptor: Int32) {
        guard handlers.removeValue(forKey: token.value) != nil else { return }
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    @discardableResult
    func after(milliseconds: Int64, _ body: @escaping () -> Void) -> Timer {
        counter += 1
        let (sum, overflow) = EventLoop.now().addingReportingOverflow(max(0, milliseconds))
        let deadline = overflow ? Int64.max : sum
        var low = 0
        var high = timers.count
        while low < high {
            let middle = (low + high) / 2
            if timers[middle].deadline > deadline { low = middle + 1 } else { high = middle }
        }
        timers.insert((deadline, counter, body), at: low)
        return Timer(value: counter)
    }

    func cancel(_ timer: Timer) {
        timers.removeAll { $0.timer == timer.value }
    }

    /// Runs `body` before the loop waits again, after what is at hand now.
    func soon(_ body: @escaping () -> Void) { deferred.append(body) }

    /// Waits for something to happen and handles it.
    func turn() {
        let count = events.withUnsafeMutableBufferPointer {
            epoll_wait(epoll, $0.baseAddress, Int32($0.count), timeout())
        }
        if count > 0 {
            for index in 0..<Int(count) {
                let event = events[index]
                handlers[event.data.u64]?(Events(rawValue: event.events))
            }
        }
        runTimers()
        let bodies = deferred
        deferred.removeAll(keepingCapacity: true)
        for body in bodies { body() }
    }

    private func timeout() -> Int32 {
        if !deferred.isEmpty { return 0 }
        guard let next = timers.last else { return -1 }
        return Int32(min(max(0, next.deadline - EventLoop.now()), 3_600_000))
    }

    private func runTimers() {
        guard !timers.isEmpty else { return }
        let now = EventLoop.now()
        while let next = timers.last, next.deadline <= now {
            timers.removeLast()
            next.body()
        }
    }
}

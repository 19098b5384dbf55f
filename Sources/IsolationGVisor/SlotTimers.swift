internal import LinuxSystem
internal import Synchronization

/// How exactly the timers of one slot's processes run.
///
/// gVisor's systrap platform looks every 0.4 ms whether its threads should spin or sleep, also when nothing runs: 3 to
/// 6 % of a core for each idle sandbox on a virtual machine of two cores. With timers that may be 50 ms late it is 0.3 %.
final class SlotTimers: Sendable {
    enum Pace: Sendable {
        case exact, lazy

        var slack: Duration {
            switch self {
            case .exact: .microseconds(50)
            case .lazy: .milliseconds(50)
            }
        }
    }

    private let cgroup: Cgroup?
    private let wanted = Mutex(Pace.exact)
    /// `nil`: as a former server left it.
    private let current = Mutex<Pace?>(nil)

    init(_ cgroup: Cgroup?) { self.cgroup = cgroup }

    /// Sets the pace. Of several at once the last one counts, however their work is mixed up.
    ///
    /// Where the kernel does not let it be set, it stays exact.
    func set(_ pace: Pace) async {
        guard let cgroup else { return }
        wanted.withLock { $0 = pace }
        try? await BlockingPool.shared.run { [self] in
            try current.withLock { current in
                let pace = wanted.withLock { $0 }
                guard pace != current else { return }
                current = nil
                if try cgroup.setTimerSlack(pace.slack) { current = pace }
            }
        }
    }
}

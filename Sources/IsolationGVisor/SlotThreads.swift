internal import LinuxSystem
internal import Synchronization

/// How the host's kernel runs the threads of one slot's processes.
///
/// - Timers: gVisor's systrap platform looks every 0.4 ms whether its threads should spin or sleep, also when nothing runs:
///   3 to 6 % of a core for each idle sandbox on a virtual machine of two cores. With timers that may be 50 ms late it is
///   0.3 %.
/// - Core: the threads of a guest and of gVisor's kernel hand the work to each other all the time. On a machine that is
///   short of CPU, each time the work changes the core it waits behind all others there.
final class SlotThreads: Sendable {
    struct Setting: Sendable, Hashable {
        var isLazy = false
        /// `nil`: all.
        var core: Int?
    }

    private static let exact = Duration.microseconds(50)
    private static let lazy = Duration.milliseconds(50)
    /// With more threads than that a sandbox is left as it is. What was done before is always undone.
    private static let limit = 1024
    private static let cores = CoreSet.available()

    private let cgroup: Cgroup?
    private let wanted = Mutex(Setting())
    /// `nil`: as a former server left it.
    private let current = Mutex<Setting?>(nil)

    /// - Parameter isNew: Whether the processes are as the kernel makes them.
    init(_ cgroup: Cgroup?, isNew: Bool) {
        self.cgroup = cgroup
        if isNew { current.withLock { $0 = Setting() } }
    }

    /// Changes the setting. Of several changes at once the last one counts, however their work is mixed up.
    ///
    /// Where the kernel does not let it be changed, it stays as it is.
    func set(_ change: (inout Setting) -> Void) async {
        guard let cgroup else { return }
        wanted.withLock { change(&$0) }
        try? await BlockingPool.shared.run { [self] in
            try current.withLock { current in
                let setting = wanted.withLock { $0 }
                guard setting != current else { return }
                let former = current
                current = nil
                var isDone = true
                if setting.isLazy != former?.isLazy {
                    isDone =
                        try setting.isLazy
                        ? cgroup.setTimerSlack(Self.lazy, limit: Self.limit)
                        : cgroup.setTimerSlack(Self.exact, limit: .max)
                }
                if former == nil || setting.core != former?.core {
                    let isSet = try setting.core.map { try cgroup.setCores([$0], limit: Self.limit) }
                    isDone = try isSet ?? cgroup.setCores(Self.cores, limit: .max) && isDone
                }
                if isDone { current = setting }
            }
        }
    }
}

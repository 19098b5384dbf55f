internal import CLinux
internal import Glibc

/// The precedence of this process's threads over those of others on the same cores.
///
/// While sandboxes use all that the cores have, a process among the kernel's ordinary ones waits: mostly a millisecond, but
/// with control groups now and then for some tenths of a second, whatever its weight, since a group that uses little
/// counts for little on each core. So the threads are real-time ones as long as they use little. When they use more (they
/// serve a flood of requests, say), they are ordinary ones, and nobody else starves.
public enum Precedence {
    /// Where there are no real-time threads: as `nice` counts, some nine times the weight of an ordinary process.
    private static let steps: Int32 = 10
    /// How often the use is looked at, in nanoseconds.
    private static let window: Int64 = 100_000_000
    /// CPU time in one window from which the threads are ordinary ones.
    private static let share: Int64 = window / 2
    /// Windows below that until they are real-time ones again.
    private static let calmWindows = 5

    /// Takes precedence for every thread of this process and those that they start; children started by ``ChildProcess``
    /// begin without. Once per process.
    ///
    /// - Throws: ``SystemError`` if neither is allowed here, or real-time threads are not; then there is the weight alone.
    public static func take() throws(SystemError) {
        // With no steps only the children's precedence is kept apart from this process's.
        _ = nj_take_precedence(0)
        let realTime = nj_set_real_time(1)
        guard realTime == 0 else {
            _ = nj_set_real_time(0)
            let weighted = nj_take_precedence(steps)
            guard weighted == 0 else { throw SystemError(weighted, "setpriority") }
            // Sessions share the cores evenly where the kernel groups them; a kernel that does not has no such file.
            try? TextFile.write("-\(steps)", to: "/proc/self/autogroup")
            throw SystemError(realTime, "sched_setscheduler")
        }
        startThread { watch() }
    }

    private static func watch() {
        var used = nj_process_cpu_nanoseconds()
        var threads = threadCount()
        var calm = calmWindows
        while true {
            var pause = timespec(tv_sec: 0, tv_nsec: Int(window))
            nanosleep(&pause, nil)
            let now = nj_process_cpu_nanoseconds()
            let isBusy = now - used > share
            used = now
            let wasRealTime = calm >= calmWindows
            calm = isBusy ? 0 : min(calm + 1, calmWindows)
            let isRealTime = calm >= calmWindows
            // Not every thread is started by one of these.
            let count = isRealTime ? threadCount() : threads
            guard isRealTime != wasRealTime || count != threads else { continue }
            threads = count
            _ = nj_set_real_time(isRealTime ? 1 : 0)
        }
    }

    /// The links of the directory are one for each thread, and two.
    private static func threadCount() -> nlink_t {
        var status = stat()
        return stat("/proc/self/task", &status) == 0 ? status.st_nlink : 0
    }
}

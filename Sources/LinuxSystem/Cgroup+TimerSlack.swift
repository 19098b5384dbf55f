internal import Glibc

// How exactly the timers of a group's threads run.
extension Cgroup {
    /// Lets every timer on which a thread of the group waits expire by up to `slack` later, so that the kernel can wake it
    /// for several at once (`/proc/PID/timerslack_ns`, proc(5)). Threads that are made later take it over from those that
    /// make them.
    ///
    /// - Parameters:
    ///   - slack: 50 µs is the kernel's own.
    ///   - limit: With more threads than that nothing is done.
    /// - Returns: Whether it was done.
    @discardableResult
    public func setTimerSlack(_ slack: Duration, limit: Int = 1024) throws(SystemError) -> Bool {
        let nanoseconds = slack.components.seconds * 1_000_000_000 + slack.components.attoseconds / 1_000_000_000
        var done: Set<Int32> = []
        // Threads that were made during the first look by others that had not been reached yet are found by the second.
        for _ in 0..<2 {
            let threads = try threads()
            guard threads.count <= limit else { return false }
            for thread in threads where done.insert(thread).inserted {
                // A thread that has ended needs none.
                try? TextFile.write("\(nanoseconds)", to: "/proc/\(thread)/timerslack_ns")
            }
        }
        return true
    }
}

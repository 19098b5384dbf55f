internal import CLinux

// What is set for each thread of a group.
extension Cgroup {
    /// Lets every timer on which a thread of the group waits expire by up to `slack` later, so that the kernel can wake it
    /// for several at once (`/proc/PID/timerslack_ns`, proc(5)). Threads that are made later take it over from those that
    /// make them.
    ///
    /// - Parameters:
    ///   - slack: 50 µs is the kernel's own.
    ///   - limit: With more threads than that not all is done.
    /// - Returns: Whether it was done.
    @discardableResult
    public func setTimerSlack(_ slack: Duration, limit: Int) throws(SystemError) -> Bool {
        let nanoseconds = slack.components.seconds * 1_000_000_000 + slack.components.attoseconds / 1_000_000_000
        return try forEachThread(limit: limit) { thread in
            // A thread that has ended needs none.
            try? TextFile.write("\(nanoseconds)", to: "/proc/\(thread)/timerslack_ns")
        }
    }

    /// Lets the threads of the group run on these cores only (sched_setaffinity(2)). Threads that are made later take it
    /// over from those that make them.
    ///
    /// - Parameters:
    ///   - cores: By the kernel's numbers; those that a cpuset forbids are left out by the kernel.
    ///   - limit: With more threads than that not all is done.
    /// - Returns: Whether it was done.
    @discardableResult
    public func setCores(_ cores: [Int], limit: Int) throws(SystemError) -> Bool {
        let set = CoreSet(cores)
        return try forEachThread(limit: limit) { set.apply(to: $0) }
    }

    private func forEachThread(limit: Int, _ body: (Int32) -> Void) throws(SystemError) -> Bool {
        var done: Set<Int32> = []
        // Threads that were made during the first look by others that had not been reached yet are found by the second.
        for _ in 0..<2 {
            let threads = try threads()
            guard threads.count <= limit else { return false }
            for thread in threads where done.insert(thread).inserted { body(thread) }
        }
        return true
    }
}

/// Cores of this machine.
public struct CoreSet: Sendable {
    /// What the kernel wants to be asked with: as many bits as the largest machine has cores, in whole words.
    private static let bytes = 1024
    private var bits = [UInt8](repeating: 0, count: bytes)

    /// - Parameter cores: Numbers from 8,192 on are left out.
    public init(_ cores: [Int]) {
        for core in cores where core >= 0 && core < Self.bytes * 8 { bits[core / 8] |= 1 << (core % 8) }
    }

    /// The cores that this process may use, in their order.
    public static func available() -> [Int] {
        var bits = [UInt8](repeating: 0, count: bytes)
        guard nj_cores(&bits, bytes) == 0 else { return [] }
        return (0..<bytes * 8).filter { bits[$0 / 8] & (1 << ($0 % 8)) != 0 }
    }

    func apply(to thread: Int32) {
        // A thread that has ended needs none.
        _ = nj_set_cores(thread, bits, Self.bytes)
    }
}

internal import CLinux
internal import Glibc

/// Watches the memory of one sandbox and has its largest process ended in time, so that the others live.
///
/// A process that needs more than its sandbox may have would be the end of the whole sandbox: to the host's kernel it is
/// one program. So there are two marks. Above the first, `soft`, the init is told, by a signal over gVisor's control
/// socket, to end the process that holds most. With version 1 of control groups the second, `wall`, makes whoever wants
/// more wait (the kernel's own killer is off), so a process that takes memory faster than anybody can look waits there
/// until it is ended. Because gVisor's kernel has to do that, and may need memory for it, the wall moves up by a bounded
/// reserve meanwhile. Version 2 slows down everybody above the first mark instead, and its own limit lies at the end of
/// the reserve. When all of that is used up, nothing inside can be saved, and the sandbox ends.
///
/// It is part of the shim because it must work while no server runs, and it costs nothing while memory is not short.
struct MemoryGuard {
    /// What a look finds to be done.
    enum Verdict: Equatable {
        case none
        /// The largest process is to end.
        case relieve
        /// Nothing helped.
        case end
    }

    /// How long nothing at all may help at the wall, and how long more than the soft mark may be held: by then every
    /// process that holds much has ended, so it is held by files in memory.
    private static let patience = 10_000
    private static let longPatience = 15_000
    /// gVisor gives memory back some time after a process has ended, so the next one ends only if nothing came for so
    /// long. Version 2 slows down gVisor as well as the guest, by up to 2 s each time that it takes memory above the mark
    /// (`memory.high`).
    private var betweenKills: Int { isVersion1 ? 1000 : 4000 }
    private static let notable: UInt64 = 1 << 20
    /// Who takes memory takes each step as well, in no time: small steps at growing distances leave the most time to
    /// gVisor's kernel.
    private static let step: UInt64 = 4 << 20
    private static let longestPause = 500

    private let directory: String
    private let isVersion1: Bool
    private let marks: ShimMarks
    /// An event when the soft mark is passed (version 1).
    private var threshold: Int32 = -1
    /// An event when somebody waits at the wall (version 1), or when the counts of events change (version 2).
    private var events: Int32 = -1
    private var lastEvents: [UInt8] = []
    private var usage: Int32 = -1
    private var control: Int32 = -1
    /// The wall now.
    private var wall: UInt64
    /// At first: what came before the events were asked for is not told by them.
    private var isWatching = true
    private var lastKill = Int.min / 2
    /// The least since the last kill, and when that was reached.
    private var lowest = UInt64.max
    private var lastProgress = Int.min / 2
    /// Since when the wall with all of its reserve is not enough.
    private var stuckSince: Int?
    private var overSince: Int?
    private var nextStep = 0
    private var pause = 5

    /// What to wait for. A file of version 2 can always be read, and tells a change by `POLLPRI`.
    var polls: [pollfd] {
        [threshold, events].filter { $0 >= 0 }.map {
            pollfd(fd: $0, events: Int16(isVersion1 ? POLLIN : POLLPRI), revents: 0)
        }
    }

    /// When to look again, in milliseconds; `nil`: when an event comes.
    private(set) var nextLook: Int? = 0

    /// - Parameter cgroups: The sandbox's groups; the one that bounds memory is among them.
    /// - Returns: `nil` if there is none, or it cannot be watched.
    init?(cgroups: [String], marks: ShimMarks) {
        self.marks = marks
        wall = marks.wall
        if let found = cgroups.first(where: { access($0 + "/memory.oom_control", F_OK) == 0 }) {
            directory = found
            isVersion1 = true
            guard arm() else {
                close()
                return nil
            }
        } else if let found = cgroups.first(where: { access($0 + "/memory.events", F_OK) == 0 }) {
            directory = found
            isVersion1 = false
            events = nj_open_at(AT_FDCWD, directory + "/memory.events", O_RDONLY, 0)
            guard events >= 0 else { return nil }
            acknowledge()
        } else {
            return nil
        }
    }

    private mutating func arm() -> Bool {
        threshold = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        events = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        usage = nj_open_at(AT_FDCWD, directory + "/memory.usage_in_bytes", O_RDONLY, 0)
        control = nj_open_at(AT_FDCWD, directory + "/memory.oom_control", O_RDONLY, 0)
        guard threshold >= 0, events >= 0, usage >= 0, control >= 0 else { return false }
        return write("memory.oom_control", "1") && write("cgroup.event_control", "\(threshold) \(usage) \(marks.soft)")
            && write("cgroup.event_control", "\(events) \(control)")
    }

    private mutating func close() {
        for descriptor in [threshold, events, usage, control] where descriptor >= 0 { Glibc.close(descriptor) }
        threshold = -1
        events = -1
    }

    /// Takes notice of what made a descriptor ready.
    mutating func acknowledge() {
        if isVersion1 {
            var fired = false
            for descriptor in [threshold, events] where readSome(descriptor, 8) != nil { fired = true }
            if fired { isWatching = true }
        } else {
            lseek(events, 0, SEEK_SET)
            let now = readSome(events, 4096) ?? []
            if now != lastEvents { isWatching = true }
            lastEvents = now
        }
    }

    // MARK: Looking

    /// Looks whether memory is short, if there was reason to.
    mutating func look(now: Int) -> Verdict {
        guard isWatching else { return .none }
        let used = workingSet()
        let waiting = isVersion1 ? value("under_oom", "memory.oom_control") == 1 : used > marks.wall
        if waiting { return short(used, now) }
        stuckSince = nil
        if used > marks.soft {
            nextLook = now + 10
            let since = overSince ?? now
            overSince = since
            if now - max(since, lastProgress) >= MemoryGuard.longPatience { return .end }
            return relief(used, now)
        }
        overSince = nil
        pause = 5
        lastKill = Int.min / 2
        lastProgress = Int.min / 2
        lowest = .max
        lower(used)
        // Page cache may fill the group up to the wall and is given back when it is needed.
        let isNear = number("memory.usage_in_bytes", "memory.current") > marks.soft
        isWatching = isNear || wall > marks.wall
        nextLook = isWatching ? now + 100 : nil
        return .none
    }

    /// Somebody waits at the wall.
    private mutating func short(_ used: UInt64, _ now: Int) -> Verdict {
        nextLook = now + 5
        if isVersion1, wall < marks.wall + marks.reserve {
            guard now >= nextStep else { return relief(used, now) }
            nextStep = now + pause
            pause = min(pause * 2, MemoryGuard.longestPause)
            wall = min(wall + MemoryGuard.step, marks.wall + marks.reserve)
            raise(to: wall)
        } else {
            let since = stuckSince ?? now
            stuckSince = since
            if now - max(since, lastProgress) >= MemoryGuard.patience { return .end }
        }
        return relief(used, now)
    }

    /// Ends a process unless the last one's end still frees memory.
    private mutating func relief(_ used: UInt64, _ now: Int) -> Verdict {
        if used + MemoryGuard.notable <= lowest {
            lowest = used
            if lastKill > Int.min / 2 { lastProgress = now }
        }
        guard now - max(lastKill, lastProgress) >= betweenKills else { return .none }
        lastKill = now
        lowest = used
        return .relieve
    }

    private mutating func lower(_ used: UInt64) {
        guard wall > marks.wall, used <= marks.soft else { return }
        guard write("memory.limit_in_bytes", "\(marks.wall)") else { return }
        _ = write("memory.memsw.limit_in_bytes", "\(marks.wall)")
        wall = marks.wall
    }

    private func raise(to bytes: UInt64) {
        _ = write("memory.memsw.limit_in_bytes", "\(bytes)")
        _ = write("memory.limit_in_bytes", "\(bytes)")
    }

    /// Memory that the kernel cannot take back by dropping page cache.
    private func workingSet() -> UInt64 {
        let current = number("memory.usage_in_bytes", "memory.current")
        let prefix = isVersion1 ? "total_" : ""
        let cache = value(prefix + "active_file", "memory.stat") + value(prefix + "inactive_file", "memory.stat")
        return current > cache ? current - cache : 0
    }

    private func number(_ version1: String, _ version2: String) -> UInt64 {
        let text = String(decoding: readFile(directory + "/" + (isVersion1 ? version1 : version2)), as: UTF8.self)
        return UInt64(text.prefix { $0.isNumber }) ?? 0
    }

    private func value(_ key: String, _ file: String) -> UInt64 {
        for line in readFile(directory + "/" + file).split(separator: 10) {
            let words = line.split(separator: 32)
            guard words.count == 2, words[0].elementsEqual(key.utf8) else { continue }
            return UInt64(String(decoding: words[1], as: UTF8.self)) ?? 0
        }
        return 0
    }

    private func write(_ file: String, _ text: String) -> Bool {
        let descriptor = nj_open_at(AT_FDCWD, directory + "/" + file, O_WRONLY, 0)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        let bytes = Array(text.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    }
}

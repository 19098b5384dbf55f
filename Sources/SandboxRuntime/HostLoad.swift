internal import Glibc

/// Whether the machine has CPU to spare, from what its cores did lately.
struct HostLoad {
    /// Over how many seconds the cores are looked at, at least.
    private static let window = 0.15
    /// The part of the cores that must have had nothing to do.
    private static let spare = 0.4

    private var samples: [(at: Moment, idle: UInt64, total: UInt64)] = []
    /// Where the kernel does not tell, there is always room.
    private var isKnown = true

    /// Looks at the cores. Cheap enough to be called many times a second.
    mutating func sample(at now: Moment) {
        guard let (idle, total) = Self.read() else {
            isKnown = false
            return
        }
        add(idle: idle, of: total, at: now)
    }

    /// - Parameters:
    ///   - idle: Ticks in which a core had nothing to do, since any beginning.
    ///   - total: All ticks since then.
    mutating func add(idle: UInt64, of total: UInt64, at now: Moment) {
        samples.append((now, idle, total))
        while samples.count > 2, now.seconds(since: samples[1].at) >= Self.window { samples.removeFirst() }
    }

    /// Whether enough of the cores was idle; `false` until that is known.
    var hasRoom: Bool {
        guard isKnown else { return true }
        guard let first = samples.first, let last = samples.last, last.at.seconds(since: first.at) >= Self.window,
            last.total > first.total
        else { return false }
        return Double(last.idle - min(first.idle, last.idle)) >= Self.spare * Double(last.total - first.total)
    }

    /// The first line of `/proc/stat`, in the kernel's ticks.
    private static func read() -> (idle: UInt64, total: UInt64)? {
        let file = open("/proc/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = Glibc.read(file, &bytes, bytes.count)
        let line = bytes.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }
        let ticks = String(decoding: line, as: UTF8.self).split(separator: " ").dropFirst().compactMap { UInt64($0) }
        // user, nice, system, idle, waiting for devices, interrupts, stolen; what guests use is in the first ones.
        guard ticks.count >= 5 else { return nil }
        return (ticks[3] + ticks[4], ticks.prefix(8).reduce(0, +))
    }
}

internal import Glibc

/// What `/proc` tells of one process. The start time tells it from a later one with the same pid.
public struct ProcessFacts: Sendable, Hashable {
    public let pid: Int32
    public let parent: Int32
    /// One letter, such as `S` or `Z`.
    public let state: Character
    /// Clock ticks since the machine started.
    public let startTime: UInt64
    public let residentBytes: UInt64

    /// - Returns: `nil` if there is no such process.
    public init?(pid: Int32) {
        guard let text = try? TextFile.read("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let startTime = UInt64(fields[19]), let pages = UInt64(fields[21])
        else { return nil }
        self.pid = pid
        self.parent = parent
        self.state = state
        self.startTime = startTime
        residentBytes = pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The command line, its words separated as given.
    public static func commandLine(pid: Int32) -> [String] {
        ((try? TextFile.bytes("/proc/\(pid)/cmdline")) ?? []).split(separator: 0).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// Pids of all processes of this machine.
    public static func allProcesses() -> [Int32] {
        (try? DirectoryListing.names("/proc"))?.compactMap { Int32($0) } ?? []
    }
}

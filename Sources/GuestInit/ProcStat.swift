internal import CLinux
internal import Glibc
internal import Wire

/// One line of `/proc/PID/stat`.
struct ProcStat: Sendable, Hashable {
    var pid: UInt32
    var command: String
    var state: UInt8
    var parent: UInt32
    /// In clock ticks: of the process itself, and of its children that it waited for.
    var ticks: (user: UInt64, system: UInt64) { (userTicks, systemTicks) }
    private var userTicks: UInt64
    private var systemTicks: UInt64
    var waitedTicks: UInt64
    var waitedSystemTicks: UInt64
    var residentPages: UInt64
    /// Whether it is a thread of the kernel of a machine, which shows these beside the processes.
    private var isKernel: Bool
    /// `PF_KTHREAD` of the kernel's sched.h.
    private static let kernelThread: UInt64 = 0x20_0000

    /// `nil` if it is not such a line. The command may hold spaces and parentheses, so its end is the last one.
    init?(_ line: [UInt8]) {
        guard let open = line.firstIndex(of: UInt8(ascii: "(")), let close = line.lastIndex(of: UInt8(ascii: ")")),
            open < close, let pid = UInt32(String(decoding: line[..<open], as: UTF8.self).filter(\.isNumber))
        else { return nil }
        let fields = line[(close + 1)...].split { $0 == 32 || $0 == 10 }.map { String(decoding: $0, as: UTF8.self) }
        guard fields.count >= 22, let state = fields[0].utf8.first, let parent = UInt32(fields[1]) else { return nil }
        self.pid = pid
        command = String(decoding: line[(open + 1)..<close], as: UTF8.self)
        self.state = state
        self.parent = parent
        userTicks = UInt64(fields[11]) ?? 0
        systemTicks = UInt64(fields[12]) ?? 0
        waitedTicks = UInt64(fields[13]) ?? 0
        waitedSystemTicks = UInt64(fields[14]) ?? 0
        residentPages = UInt64(fields[21]) ?? 0
        isKernel = (UInt64(fields[6]) ?? 0) & ProcStat.kernelThread != 0
    }

    /// All processes now.
    static func all() -> [ProcStat] {
        pids().compactMap { pid in
            SmallFile.read("/proc/\(pid)/stat", maximum: 4096).flatMap { ProcStat($0) }
        }.filter { !$0.isKernel }
    }

    static func pids() -> [UInt32] {
        SmallFile.names(in: "/proc").compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }.sorted()
    }
}

/// What `/proc` tells. Runs on a worker thread.
enum ProcScan {
    private static let maximumCommand = 1024
    private static let maximumTable = 3_500_000

    static func table() -> Reply {
        let tick = ticksPerSecond()
        let page = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE)))) / 1024
        var size = 0
        var entries: [TableEntry] = []
        for stat in ProcStat.all() {
            let path = "/proc/\(stat.pid)"
            let owner = Glibc.stat.of(Array(path.utf8), follow: true)?.st_uid ?? 0
            let command = commandLine(path) ?? "[\(stat.command)]"
            size += command.utf8.count + 64
            // A message is bounded; so many processes are a fork bomb, and the first ones tell enough.
            guard size < maximumTable else { break }
            entries.append(
                TableEntry(
                    pid: stat.pid, parent: stat.parent, uid: owner, state: stat.state,
                    residentKiB: stat.residentPages * page,
                    cpuMilliseconds: (stat.ticks.user + stat.ticks.system) * 1000 / tick, command: command))
        }
        return .table(entries)
    }

    private static func commandLine(_ path: String) -> String? {
        guard var bytes = SmallFile.read(path + "/cmdline", maximum: maximumCommand) else { return nil }
        while bytes.last == 0 { bytes.removeLast() }
        guard !bytes.isEmpty else { return nil }
        return String(decoding: bytes.map { $0 < 32 ? 32 : $0 }, as: UTF8.self)
    }

    static func metrics(uptimeMilliseconds: UInt64) -> Reply {
        let (processes, cpu) = cpuAndCount()
        let memory = meminfo(SmallFile.read("/proc/meminfo") ?? [])
        var disk = statfs()
        let known = statfs("/", &disk) == 0
        let block = UInt64(clamping: disk.f_bsize)
        return .metrics(
            GuestMetrics(
                cpuUserMilliseconds: cpu.user, cpuSystemMilliseconds: cpu.system,
                memoryTotalKiB: memory["MemTotal"] ?? 0, memoryAvailableKiB: memory["MemAvailable"] ?? 0,
                processes: processes, uptimeMilliseconds: uptimeMilliseconds,
                diskTotalKiB: known ? kibibytes(disk.f_blocks, block) : 0,
                diskFreeKiB: known ? kibibytes(disk.f_bavail, block) : 0))
    }

    private static func kibibytes(_ blocks: some BinaryInteger, _ size: UInt64) -> UInt64 {
        let (product, overflow) = UInt64(clamping: blocks).multipliedReportingOverflow(by: size)
        return overflow ? .max : product / 1024
    }

    private static func cpuAndCount() -> (UInt32, (user: UInt64, system: UInt64)) {
        let tick = ticksPerSecond()
        let all = ProcStat.all()
        if let total = cpuLine(SmallFile.read("/proc/stat") ?? []) {
            return (UInt32(clamping: all.count), (total.user * 1000 / tick, total.system * 1000 / tick))
        }
        // gVisor counts no total; what lives and what has been waited for add up to it.
        var user: UInt64 = 0
        var system: UInt64 = 0
        for stat in all {
            user += stat.ticks.user + stat.waitedTicks
            system += stat.ticks.system + stat.waitedSystemTicks
        }
        return (UInt32(clamping: all.count), (user * 1000 / tick, system * 1000 / tick))
    }

    /// The first line of `/proc/stat`; `nil` if it is absent or nothing but zeros.
    static func cpuLine(_ bytes: [UInt8]) -> (user: UInt64, system: UInt64)? {
        let line = bytes.prefix { $0 != 10 }.split(separator: 32).map { String(decoding: $0, as: UTF8.self) }
        guard line.first == "cpu", line.count >= 4 else { return nil }
        let numbers = line.dropFirst().map { UInt64($0) ?? 0 }
        let (user, system) = (numbers[0] + numbers[1], numbers[2])
        return user + system == 0 ? nil : (user, system)
    }

    /// `Name: 123 kB` lines.
    static func meminfo(_ bytes: [UInt8]) -> [String: UInt64] {
        var values: [String: UInt64] = [:]
        for line in bytes.split(separator: 10) {
            let parts = line.split { $0 == UInt8(ascii: ":") || $0 == 32 }.map { String(decoding: $0, as: UTF8.self) }
            if parts.count >= 2, let value = UInt64(parts[1]) { values[parts[0]] = value }
        }
        return values
    }

    private static func ticksPerSecond() -> UInt64 { UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))) }
}

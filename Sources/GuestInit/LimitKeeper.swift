internal import CLinux
internal import Glibc
internal import Wire

/// Keeps the sandbox's processes within its limits as far as the guest's own kernel can, and tells the host which limit
/// was met.
///
/// It is a convenience for the guest: one process meets an error, or ends, where otherwise all would. The host's bounds
/// are above these and do not rely on anything in here.
///
/// With gVisor the host asks for memory, and the init chooses who ends. In a machine nobody has to ask: its own kernel
/// ends a process when memory is out, and the init reads in the kernel's log which one that was.
final class LimitKeeper {
    /// Below what a file's first block takes, a disk counts as full.
    private static let fullBytes: UInt64 = 64 * 1024
    private static let zombie = UInt8(ascii: "Z")
    /// In pages: who holds less is not worth ending.
    private static let smallestVictim: UInt64 = 256
    private static let lookMilliseconds: Int64 = 1000
    private static let maximumPending = 32
    private static let maximumOutstanding = 8
    /// In memory, where no checkpoint depends on it.
    private static let groupMount = "/run/.nightjar-limits"

    private let loop: EventLoop
    private let channel: Channel
    private let pool: WorkerPool
    private unowned let processes: Processes
    private let isMachine: Bool
    private var kernelLog: KernelLog?
    private var maximumProcesses: UInt64?
    private var pending: [Incident] = []
    private var outstanding = 0
    private var isLooking = false
    private var isScanning = false
    /// Whether a process was ended while the scan was under way, whose result then is no longer true.
    private var hasGuessed = false
    /// Limits that were met at the last look: only a change is told.
    private var met: LimitHits = []
    private var lastVictim: (pid: UInt32, at: Int64)?

    init(loop: EventLoop, channel: Channel, pool: WorkerPool, processes: Processes, isMachine: Bool) {
        self.pool = pool
        self.loop = loop
        self.channel = channel
        self.processes = processes
        self.isMachine = isMachine
        if isMachine { kernelLog = KernelLog(loop: loop) { [unowned self] in ended($0) } }
    }

    // MARK: What the host asks for

    /// Sets what this kernel can enforce. What it cannot stays the host's alone.
    func apply(_ limits: GuestLimits, log: Log) {
        for (path, bytes) in [("/tmp", limits.temporaryBytes), ("/dev/shm", limits.sharedBytes)] {
            shrink(path, to: bytes, log: log)
        }
        processes.limit(processes: UInt64(limits.processes), openFiles: limits.openFiles)
        if let error = bound(processes: UInt64(limits.processes)) {
            log.line("the number of processes is not bounded inside: \(SystemError.text(error))")
        }
    }

    /// gVisor changes the size of no file system that is mounted, so a smaller one is put over it.
    private func shrink(_ path: String, to bytes: UInt64, log: Log) {
        var now = statfs()
        guard statfs(path, &now) == 0, UInt64(now.f_blocks) * UInt64(now.f_bsize) > bytes else { return }
        let flags = NJ_NO_SUID.rawValue | NJ_NO_DEVICES.rawValue | (isMachine ? NJ_REMOUNT.rawValue : 0)
        let error = nj_mount_at("tmpfs", "none", path, flags, "size=\(bytes),mode=1777")
        if error != 0 { log.line("\(path) is not bounded to \(bytes) bytes: \(SystemError.text(error))") }
    }

    /// Puts the init, and with it everything that it will start, into a group of the guest's own kernel. gVisor's counts
    /// loosely, a few more than it should, but also for root.
    ///
    /// - Returns: An errno, or `nil`.
    private func bound(processes count: UInt64) -> Int32? {
        let mount = LimitKeeper.groupMount
        let group = mount + "/sandbox"
        if maximumProcesses == nil {
            guard mkdir(mount, 0o700) == 0 || errno == EEXIST else { return errno }
            let error = isMachine ? nj_mount("cgroup2", mount, nil) : nj_mount("cgroup", mount, "pids")
            guard error == 0 else { return error }
            if isMachine, !SmallFile.write("+pids", to: mount + "/cgroup.subtree_control") { return errno }
            guard mkdir(group, 0o755) == 0 || errno == EEXIST else { return errno }
        }
        // Each thread of the init counts too.
        let own = UInt64(max(1, SmallFile.names(in: "/proc/self/task").count))
        guard SmallFile.write("\(count + own)", to: group + "/pids.max"),
            SmallFile.write("0", to: group + "/cgroup.procs")
        else { return errno }
        maximumProcesses = count + own
        return nil
    }

    /// The host is short of memory for this sandbox: the process that holds most ends, at once.
    ///
    /// To read what a process holds takes its locks, and one that waits for memory may keep them. So that is read on
    /// another thread; if it has not come back when the host asks again, the newest of the host's processes ends unseen.
    func relieve() {
        guard !isMachine else { return }
        guard !isScanning else { return endNewest() }
        isScanning = true
        hasGuessed = false
        pool.submit {
            ProcStat.all()
        } then: { [self] all in
            isScanning = false
            if !hasGuessed { endLargest(among: all) }
        }
    }

    /// The machine's kernel ended a process.
    private func ended(_ kill: KernelLog.Kill) {
        tellEnd(of: kill.pid, command: kill.command, bytes: kill.bytes, among: ProcStat.all())
    }

    /// Learns of what the kernel has just ended, before the end of a process is told.
    func catchUp() { kernelLog?.catchUp() }

    private func endNewest() {
        guard let process = processes.newest(where: { !$0.hits.contains(.memory) }) else { return }
        hasGuessed = true
        process.hits.insert(.memory)
        kill(-process.pid, SIGKILL)
        report(Incident(kind: .outOfMemory, process: process.id, pid: UInt32(process.pid)))
    }

    private func endLargest(among all: [ProcStat]) {
        let now = EventLoop.now()
        if let last = lastVictim, now - last.at < 1000,
            all.contains(where: { $0.pid == last.pid && $0.state != LimitKeeper.zombie })
        {
            return
        }
        let victims = all.filter {
            $0.pid != 1 && $0.state != LimitKeeper.zombie && $0.residentPages > LimitKeeper.smallestVictim
        }
        guard let victim = victims.max(by: { $0.residentPages < $1.residentPages }) else { return }
        guard kill(pid_t(victim.pid), SIGKILL) == 0 else { return }
        lastVictim = (victim.pid, now)
        let bytes = victim.residentPages * UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))
        tellEnd(of: victim.pid, command: victim.command, bytes: bytes, among: all)
    }

    private func tellEnd(of pid: UInt32, command: String, bytes: UInt64, among all: [ProcStat]) {
        let owner = processes.owner(of: pid, among: all)
        if let owner { owner.hits.insert(UInt32(owner.pid) == pid ? .memory : .descendantMemory) }
        report(
            Incident(
                kind: .outOfMemory, process: owner?.id ?? 0, pid: pid, bytes: bytes,
                command: String(command.prefix(32))))
    }

    // MARK: Looking

    /// Looks now and then while there are processes of the host's; nothing happens in an idle sandbox.
    func lookSoon() {
        guard !isLooking else { return }
        isLooking = true
        loop.after(milliseconds: LimitKeeper.lookMilliseconds) { [self] in
            isLooking = false
            look()
            if processes.areRunning { lookSoon() }
        }
    }

    /// Notes on everything that runs which limits are met now.
    ///
    /// - Parameter gone: How many processes are known to have ended just now, who may have met the limit.
    @discardableResult
    func look(after gone: UInt64 = 0) -> LimitHits {
        var hits: LimitHits = []
        if isDiskFull() { hits.insert(.disk) }
        if areProcessesExhausted(after: gone) { hits.insert(.processes) }
        if !hits.isEmpty { processes.note(hits) }
        let new = hits.subtracting(met)
        met = hits
        if new.contains(.disk) { report(Incident(kind: .diskFull)) }
        if new.contains(.processes) { report(Incident(kind: .processesExhausted)) }
        return hits
    }

    private func isDiskFull() -> Bool {
        var root = statfs()
        guard statfs("/", &root) == 0, root.f_blocks > 0 else { return false }
        return UInt64(root.f_bavail) * UInt64(root.f_bsize) < LimitKeeper.fullBytes
            || (root.f_files > 0 && root.f_ffree == 0)
    }

    private func areProcessesExhausted(after gone: UInt64) -> Bool {
        guard let maximumProcesses,
            let text = SmallFile.read(LimitKeeper.groupMount + "/sandbox/pids.current", maximum: 64),
            let current = UInt64(String(decoding: text, as: UTF8.self).filter(\.isNumber))
        else { return false }
        // The kernel refuses a start one early when another is under way.
        return current + gone + 1 >= maximumProcesses
    }

    /// A process could not be started for lack of room for it.
    func spawnFailed() {
        processes.note(.processes)
        if !met.contains(.processes) { report(Incident(kind: .processesExhausted)) }
        met.insert(.processes)
        lookSoon()
    }

    // MARK: Telling

    /// Tells the host, now or when it comes back.
    func report(_ incident: Incident) {
        if pending.count >= LimitKeeper.maximumPending { pending.removeFirst() }
        pending.append(incident)
        flush()
    }

    /// Sends what is not told yet, a few at a time.
    func flush() {
        while outstanding < LimitKeeper.maximumOutstanding, let incident = pending.first {
            let told = Told { [unowned self] in
                outstanding -= 1
                loop.soon { [self] in flush() }
            }
            guard channel.open(.incident(incident), handler: told) != nil else { return }
            outstanding += 1
            pending.removeFirst()
        }
    }

    /// The host's answer to an incident is that it closes the stream.
    private final class Told: StreamHandler {
        private let onEnd: () -> Void
        init(_ onEnd: @escaping () -> Void) { self.onEnd = onEnd }
        func closed(_ stream: Stream) { onEnd() }
    }
}

internal import CLinux
internal import Glibc
internal import Wire

/// All processes that the host started, and the reaping of all others.
final class Processes {
    /// Exited processes that stay listed.
    static let maximumExited = 1024
    /// Output that exited processes retain together.
    private static let maximumExitedOutput = 64 * 1024 * 1024
    /// Between the polite signal and SIGKILL.
    private static let killDelayMilliseconds: Int64 = 2000

    private let loop: EventLoop
    private let channel: Channel
    private let accounts: Accounts
    private var openFiles: rlimit
    private var maximumProcesses: UInt64?
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    private var counter: UInt32 = 0
    private var byID: [UInt32: GuestProcess] = [:]
    private var running: [pid_t: GuestProcess] = [:]
    /// Exited ones in the order in which their exits were settled.
    private var exited: [GuestProcess] = []
    private var isStopping = false
    private var rehearsal: GuestProcess?
    /// Watches over limits; set before anything is started.
    weak var keeper: LimitKeeper?

    init(loop: EventLoop, channel: Channel, accounts: Accounts, openFiles: rlimit) {
        self.loop = loop
        self.channel = channel
        self.accounts = accounts
        self.openFiles = openFiles
    }

    // MARK: Requests

    func start(_ request: ProcessStart, on stream: Stream) throws(WireStatus) {
        let process = try spawn(request, id: counter + 1)
        counter += 1
        byID[process.id] = process
        process.onSettled = { [unowned self, unowned process] in settled(process) }
        if request.timeoutMilliseconds > 0 {
            let delay = Int64(clamping: request.timeoutMilliseconds)
            loop.after(milliseconds: delay) { [unowned self, weak process] in
                guard let process, process.exit == nil else { return }
                process.timedOut = true
                end(process, with: SIGTERM)
            }
        }
        if request.attach {
            attach(process, stream, offset: 0, observer: false)
            channel.send(.started(process.info), on: stream)
        } else {
            channel.send(.started(process.info), on: stream, final: true)
        }
        process.begin()
        keeper?.lookSoon()
    }

    private func spawn(_ request: ProcessStart, id: UInt32) throws(WireStatus) -> GuestProcess {
        guard !isStopping else { throw WireStatus(.cancelled, "The sandbox is shutting down") }
        let spawn = Spawn(
            request: request, account: try accounts.resolve(request.user), openFiles: openFiles,
            maximumProcesses: maximumProcesses)
        let started: Spawn.Started
        do throws(WireStatus) {
            started = try spawn.start()
        } catch {
            if error.errno == EAGAIN { keeper?.spawnFailed() }
            throw error
        }
        let process = GuestProcess(
            id: id, started: started, spawn: spawn, loop: loop, channel: channel, scratch: scratch)
        running[process.pid] = process
        return process
    }

    /// Runs a process of which nothing is left: see ``Wire/Request/rehearse(_:)``.
    func rehearse(_ request: ProcessStart, on stream: Stream) throws(WireStatus) {
        guard counter == 0, rehearsal == nil else { throw WireStatus(.invalid, "Something was started already") }
        let process = try spawn(request, id: .max)
        rehearsal = process
        process.onSettled = { [unowned self] in
            rehearsal?.dispose()
            rehearsal = nil
            channel.send(.ok, on: stream, final: true)
        }
        loop.after(milliseconds: Processes.killDelayMilliseconds) { [unowned self] in
            if rehearsal != nil { kill(-process.pid, SIGKILL) }
        }
        process.begin()
    }

    func attach(_ request: ProcessAttach, on stream: Stream) throws(WireStatus) {
        let process = try find(request.id)
        let attachment = attach(process, stream, offset: request.offset, observer: request.observer)
        channel.send(.attached(process.info, startOffset: attachment.position), on: stream)
        channel.ready(stream)
    }

    @discardableResult
    private func attach(_ process: GuestProcess, _ stream: Stream, offset: Int64, observer: Bool) -> Attachment {
        let attachment = process.attach(stream, offset: offset, observer: observer)
        if !observer, process.request.killOnDetach {
            attachment.onDetach = { [unowned self, unowned process] in
                if !process.isAttached { end(process, with: SIGHUP) }
            }
        }
        return attachment
    }

    func wait(_ id: UInt32, on stream: Stream) throws(WireStatus) { try find(id).wait(stream) }

    func signal(_ id: UInt32, _ number: UInt8, group: Bool) throws(WireStatus) {
        let process = try find(id)
        guard (0...64).contains(number) else { throw WireStatus(.invalid, "\(number) is not the number of a signal") }
        guard process.exit == nil else { throw WireStatus(.exited, "The process \(id) has exited") }
        guard kill(group ? -process.pid : process.pid, Int32(number)) == 0 else {
            if errno == ESRCH { throw WireStatus(.exited, "The process \(id) has exited") }
            throw SystemError.status(errno, "The process \(id) cannot be signalled")
        }
    }

    func resize(_ id: UInt32, columns: UInt16, rows: UInt16) throws(WireStatus) {
        let process = try find(id)
        guard process.exit == nil else { throw WireStatus(.exited, "The process \(id) has exited") }
        try process.resize(columns: columns, rows: rows)
    }

    /// By id. The oldest exits are left out if the answer would not fit a message.
    func list() -> Reply {
        var infos = byID.values.map(\.info).sorted { $0.id < $1.id }
        while true {
            let reply = Reply.processes(infos)
            if reply.encoded().count <= Frame.maximumMessage || infos.isEmpty { return reply }
            infos.removeFirst(max(1, infos.count / 8))
        }
    }

    private func find(_ id: UInt32) throws(WireStatus) -> GuestProcess {
        guard let process = byID[id] else { throw WireStatus(.notFound, "There is no process \(id)") }
        return process
    }

    // MARK: Ends

    /// The host that started them is gone or was replaced.
    func sessionLost() {
        for process in running.values where process.request.killOnDetach { end(process, with: SIGHUP) }
    }

    /// A signal to the group, and SIGKILL later to what is left of it.
    private func end(_ process: GuestProcess, with signal: Int32) {
        guard process.exit == nil else { return }
        kill(-process.pid, signal)
        if signal == SIGHUP { kill(-process.pid, SIGCONT) }
        let pid = process.pid
        loop.after(milliseconds: Processes.killDelayMilliseconds) { [unowned self, weak process] in
            // Once the leader is reaped its number may name another group, of a process that was started since.
            if let other = running[pid], other !== process { return }
            kill(-pid, SIGKILL)
        }
    }

    /// Collects every child that has ended, also those that only became ours when their parent died.
    func reap() {
        while true {
            var status: Int32 = 0
            var usage = rusage()
            let pid = wait4(-1, &status, WNOHANG, &usage)
            if pid < 0, errno == EINTR { continue }
            guard pid > 0 else { return }
            guard let process = running[pid] else { continue }
            // A process that failed may have met a limit just now.
            if status != 0 { keeper?.look(after: 1) }
            if nj_exit_signal(status) == SIGKILL { keeper?.catchUp() }
            running[pid] = nil
            let exit = ProcessExit(
                code: nj_exit_code(status), signal: UInt8(clamping: nj_exit_signal(status)),
                timedOut: process.timedOut, hits: process.hits, endedUnixNanoseconds: EventLoop.wallClock(),
                userMicroseconds: usage.ru_utime.microseconds, systemMicroseconds: usage.ru_stime.microseconds,
                maximumResidentKiB: UInt64(clamping: usage.ru_maxrss))
            process.exited(exit)
            tell(exit, of: process)
        }
    }

    private func tell(_ exit: ProcessExit, of process: GuestProcess) {
        // Told when it was killed.
        if exit.hits.contains(.memory) { return }
        guard exit.timedOut || exit.signal != 0 else { return }
        let name = process.request.arguments.first?.split(separator: "/").last ?? ""
        keeper?.report(
            Incident(
                kind: exit.timedOut ? .timedOut : .signalled, process: process.id, pid: UInt32(process.pid),
                signal: exit.signal, command: String(name.prefix(32))))
    }

    // MARK: Limits

    var areRunning: Bool { !running.isEmpty }

    /// Bounds processes that start from now on: how many there are of each user, and what each may open.
    func limit(processes: UInt64, openFiles files: UInt64) {
        maximumProcesses = processes
        let count = rlim_t(files)
        openFiles = rlimit(rlim_cur: min(openFiles.rlim_cur, count), rlim_max: min(openFiles.rlim_max, count))
    }

    /// The latest of those that run.
    func newest(where matches: (GuestProcess) -> Bool) -> GuestProcess? {
        running.values.filter(matches).max { $0.id < $1.id }
    }

    /// Marks everything that runs.
    func note(_ hits: LimitHits) {
        for process in running.values { process.hits.formUnion(hits) }
    }

    /// Which of the host's processes another one descends from, or is.
    func owner(of pid: UInt32, among all: [ProcStat]) -> GuestProcess? {
        let parents = Dictionary(all.map { ($0.pid, $0.parent) }, uniquingKeysWith: { $1 })
        var next = pid
        for _ in 0..<64 {
            if let process = running[pid_t(next)] { return process }
            guard let parent = parents[next], parent > 1 else { return nil }
            next = parent
        }
        return nil
    }

    private func settled(_ process: GuestProcess) {
        exited.append(process)
        if exited.count > Processes.maximumExited {
            let oldest = exited.removeFirst()
            byID[oldest.id] = nil
            oldest.dispose()
        }
        var total = exited.reduce(0) { $0 + $1.ring.retained }
        for old in exited where total > Processes.maximumExitedOutput {
            total -= old.ring.retained
            old.forgetOutput()
            total += old.ring.retained
        }
    }

    /// No process is started any more.
    func stop() { isStopping = true }
}

extension timeval {
    fileprivate var microseconds: UInt64 { UInt64(clamping: tv_sec) * 1_000_000 + UInt64(clamping: tv_usec) }
}

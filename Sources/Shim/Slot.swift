internal import CLinux
internal import Glibc

/// A sandbox's processes, the host's end of the guest's channel, and what becomes of them.
struct Slot {
    enum State: String {
        /// The sandbox exists and nothing runs in it.
        case created
        /// It has files of its own; from here on it may run.
        case attached
        /// Its processes are gone.
        case ended
    }

    /// Bytes of the sandbox's standard error that are kept; after that it is closed, so that a flood costs nothing.
    static let errorLimit = 1 << 20

    let arguments: ShimArguments
    private(set) var state = State.created
    private(set) var exitCode: Int32?
    /// The host's end of the guest's channel.
    private(set) var channel: Int32 = -1
    /// Where the sandbox's standard error arrives; -1 when it is no longer read.
    private(set) var errors: Int32 = -1
    private var errorLog: Int32 = -1
    private var errorCount = 0
    /// The end of what came last, for messages.
    private var errorTail: [UInt8] = []
    private(set) var sandbox: any Sandbox

    init(_ arguments: ShimArguments) {
        self.arguments = arguments
        switch arguments.kind {
        case .gVisor(let mountPoint): sandbox = GVisorSandbox(arguments, mountPoint: mountPoint)
        case .jail(let jail): sandbox = JailedSandbox(arguments, jail)
        }
    }

    // MARK: Starting

    /// Makes the channel and starts the sandbox.
    ///
    /// - Returns: What failed.
    mutating func begin() -> String? {
        var pair: [Int32] = [-1, -1]
        var pipes: [Int32] = [-1, -1]
        let failed = [nj_socket_pair(&pair), nj_pipe(&pipes)].first { $0 != 0 }
        if let failed { return "cannot make the channel: \(String(cString: strerror(failed)))" }
        channel = pair[0]
        errors = pipes[0]
        _ = nj_set_nonblocking(errors, 1)
        errorLog = nj_open_at(AT_FDCWD, arguments.slot + "/stderr", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        for end in pair {
            var size: Int32 = 512 * 1024
            for option in [SO_SNDBUFFORCE, SO_RCVBUFFORCE] {
                setsockopt(end, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
            }
        }
        // The sandbox may be killed for memory before anything else of the host; the shim after everything else.
        writeFile("/proc/self/oom_score_adj", "200")
        let failure = sandbox.start(GuestEnds(channel: pair[1], errors: pipes[1]))
        writeFile("/proc/self/oom_score_adj", "-900")
        close(pair[1])
        close(pipes[1])
        return failure
    }

    /// How far it is. Once it is ready, its processes are on record for whoever finds this slot without its shim.
    mutating func settle() -> Settlement {
        let settlement = sandbox.settle(errors: errorTail)
        guard case .ready = settlement else { return settlement }
        // Pids are reused, a pid with its start time is not.
        let pids = [getpid()] + sandbox.processes.map(\.pid)
        let lines = pids.compactMap { pid in ProcessFact(pid).map { "\(pid) \($0.startTime)\n" } }
        replaceFile(arguments.slot + "/pids", lines.joined())
        return lines.count == pids.count ? .ready : .failed("the sandbox's processes are not there")
    }

    // MARK: What happens

    /// Reads what the sandbox wrote to its standard error.
    mutating func drainErrors() {
        guard errors >= 0 else { return }
        guard let bytes = readSome(errors, 16 * 1024) else {
            if errno != EAGAIN { closeErrors() }
            return
        }
        _ = write(errorLog, bytes, bytes.count)
        errorCount += bytes.count
        errorTail = Array((errorTail + bytes).suffix(1024))
        if bytes.isEmpty || errorCount >= Slot.errorLimit { closeErrors() }
    }

    private mutating func closeErrors() {
        close(errors)
        close(errorLog)
        errors = -1
        errorLog = -1
    }

    /// Reaps every child that has ended.
    ///
    /// - Returns: Whether the sandbox ended by this.
    mutating func reap() -> Bool {
        let before = state
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            if pid < 0, errno == EINTR { continue }
            if pid < 0, errno == ECHILD, !sandbox.processes.isEmpty, before != .ended { finish() }
            guard pid > 0 else { break }
            if let code = sandbox.reaped(pid, status: status) { exitCode = code }
        }
        return state == .ended && before != .ended
    }

    private mutating func finish() {
        state = .ended
        replaceFile(
            arguments.slot + "/exit.json",
            "{\"code\":\(exitCode.map(String.init) ?? "null"),\"oom\":\(sandbox.isOutOfMemory)}\n")
    }

    /// Whether the sandbox is about to end by itself, or in need of an end.
    var isOrphaned: Bool { state != .ended && sandbox.isOrphaned }

    /// Ends a sandbox that did not end with a process that it cannot do without.
    func endOrphan() {
        thaw(arguments.cgroups)
        for process in sandbox.processes.prefix(1) { kill(process.pid, SIGKILL) }
    }

    /// Does what the sandbox needs from time to time.
    mutating func look(now: Int) { sandbox.look(now: now) }

    // MARK: Requests

    /// Lines `key value`.
    var information: String {
        let processes = sandbox.processes.map { "\($0.name) \($0.pid)\n" }.joined()
        let code = exitCode.map { "code \($0)\n" } ?? ""
        return processes + "state \(state.rawValue)\n" + sandbox.details + code
    }

    /// Answers a request that depends on the kind of sandbox.
    mutating func perform(_ operation: ShimOperation, _ payload: ArraySlice<UInt8>) -> Outcome {
        guard let outcome = sandbox.perform(operation, payload, state) else {
            return .failed("a sandbox of this kind knows no such request")
        }
        if outcome.isAttached { state = .attached }
        return outcome
    }

    // MARK: The end

    /// Sends SIGKILL to everything that is left.
    func killAll() {
        thaw(arguments.cgroups)
        for child in children() { kill(child.pid, SIGKILL) }
        for cgroup in arguments.cgroups {
            let pids = String(decoding: readFile(cgroup + "/cgroup.procs"), as: UTF8.self)
            for pid in pids.split(separator: "\n").compactMap({ Int32($0) }) where pid > 1 { kill(pid, SIGKILL) }
        }
    }

    /// Whether any child is left, ended or not.
    var hasChildren: Bool {
        var information = siginfo_t()
        return waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0
    }

    /// Removes what is left on disk.
    ///
    /// - Returns: Whether the cgroups are gone. The kernel may need another moment for the last process.
    func remove() -> Bool {
        for cgroup in arguments.cgroups where rmdir(cgroup) < 0 && errno != ENOENT { return false }
        removeTree(arguments.slot, last: "assigned")
        return true
    }
}

internal import CLinux
internal import Glibc

/// The processes of one slot, the host's end of the guest's channel, and what becomes of them.
struct Slot {
    enum State: String {
        /// The sandbox exists and nothing runs in it.
        case created
        /// Its root is the real one; from here on it may run.
        case attached
        /// Its processes are gone.
        case ended
    }

    /// Bytes of the guest's standard error that are kept; after that it is closed, so that a flood costs nothing.
    static let errorLimit = 1 << 20

    let arguments: ShimArguments
    private(set) var state = State.created
    private(set) var sandbox: Int32 = 0
    private(set) var gofer: Int32 = 0
    private(set) var exitCode: Int32?
    private var goferIsGone = false
    /// Whether the sandbox runs without its gofer: about to end, or in need of an end.
    var isOrphaned: Bool { goferIsGone && exitCode == nil && state != .ended }
    /// The host's end of the guest's channel.
    private(set) var channel: Int32 = -1
    /// Where the guest's standard error arrives; -1 when it is no longer read.
    private(set) var errors: Int32 = -1
    /// The root of the image that is the writable layer; -1: there is none. It keeps the image mounted.
    private(set) var layer: Int32 = -1
    private var errorLog: Int32 = -1
    private var errorCount = 0
    /// The end of what came last, for messages.
    private(set) var errorTail: [UInt8] = []
    private var memory: MemoryGuard?
    /// A call to gVisor that is not answered yet; -1: none.
    private(set) var call: Int32 = -1
    /// Whether it was ended because nothing else helped against a lack of memory.
    private(set) var isOutOfMemory = false
    private var creator: Int32 = 0
    private(set) var creatorStatus: Int32?

    init(_ arguments: ShimArguments) { self.arguments = arguments }

    /// Starts the command that creates the sandbox. Its standard input and output are the guest's channel.
    ///
    /// - Returns: An errno, or 0.
    mutating func begin() -> Int32 {
        var pair: [Int32] = [-1, -1]
        var pipes: [Int32] = [-1, -1]
        let failed = [nj_socket_pair(&pair), nj_pipe(&pipes)].first { $0 != 0 }
        if let failed { return failed }
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
        let error = spawn(descriptors: [pair[1], pair[1], pipes[1]])
        writeFile("/proc/self/oom_score_adj", "-900")
        close(pair[1])
        close(pipes[1])
        return error
    }

    private mutating func spawn(descriptors: [Int32]) -> Int32 {
        var pidfd: Int32 = -1
        var error: Int32 = 0
        creator = withCStrings(arguments.command) { argv in
            withCStrings(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]) { environment in
                withCStrings(arguments.cgroups.map { $0 + "/cgroup.procs" }) { cgroups in
                    let paths = cgroups.map { UnsafePointer($0) }
                    return descriptors.withUnsafeBufferPointer { descriptors in
                        argv.withUnsafeBufferPointer { argv in
                            environment.withUnsafeBufferPointer { environment in
                                paths.withUnsafeBufferPointer { paths in
                                    var spawn = nj_command()
                                    spawn.path = UnsafePointer(argv[0])
                                    spawn.argv = argv.baseAddress
                                    spawn.envp = environment.baseAddress
                                    spawn.descriptors = descriptors.baseAddress
                                    spawn.descriptor_count = descriptors.count
                                    spawn.cgroups = paths.baseAddress
                                    return nj_host_spawn(&spawn, &pidfd, &error)
                                }
                            }
                        }
                    }
                }
            }
        }
        if pidfd >= 0 { close(pidfd) }
        return creator < 0 ? error : 0
    }

    /// Once the creating command has succeeded: finds the sandbox's processes, which it left behind.
    ///
    /// - Returns: Whether both are there.
    mutating func identify() -> Bool {
        for child in children() {
            if child.name == "runsc-sandbox" { sandbox = child.pid }
            if child.name == "runsc-gofer" { gofer = child.pid }
        }
        guard sandbox > 0, gofer > 0 else { return false }
        // For whoever finds this slot without its shim: pids are reused, a pid with its start time is not.
        let lines = [getpid(), sandbox, gofer].compactMap { pid in
            ProcessFact(pid).map { "\(pid) \($0.startTime)\n" }
        }
        replaceFile(arguments.slot + "/pids", lines.joined())
        return lines.count == 3
    }

    /// Whether the gofer has arrived in the generic root. On a busy machine the creating command may be through before
    /// that, and what is attached then would be lost, or find no mount point.
    var isGoferInPlace: Bool {
        var its = stat()
        var generic = stat()
        guard stat("/proc/\(gofer)/root/.", &its) == 0, stat(arguments.slot + "/../root", &generic) == 0 else {
            return false
        }
        return its.st_dev == generic.st_dev && its.st_ino == generic.st_ino
    }

    /// Reads what the guest wrote to its standard error.
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
            if pid < 0, errno == ECHILD, sandbox > 0, before != .ended { finish() }
            guard pid > 0 else { break }
            if pid == creator { creatorStatus = status }
            if pid == sandbox { note("the sandbox ended with status \(status)") }
            if pid == gofer { note("the gofer ended with status \(status)") }
            if pid == sandbox {
                exitCode = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
                kill(gofer, SIGKILL)
            }
            // A sandbox without its files is of no use. But the gofer also ends when the sandbox does, and may be
            // seen to end first: an orderly end of the sandbox must keep its exit code.
            if pid == gofer { goferIsGone = true }
            if pid == gofer, status != 0 { endOrphan() }
        }
        return state == .ended && before != .ended
    }

    /// For the log of the slot: at most a few lines in its life.
    private func note(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    private mutating func finish() {
        state = .ended
        replaceFile(
            arguments.slot + "/exit.json",
            "{\"code\":\(exitCode.map(String.init) ?? "null"),\"oom\":\(isOutOfMemory)}\n")
    }

    /// Puts the real root in place of the generic one.
    ///
    /// - Returns: What failed; `nil` if nothing did.
    mutating func attach(_ root: ShimRoot) -> String? {
        guard state == .created else { return "the slot is \(state.rawValue)" }
        var step = [CChar](repeating: 0, count: 32)
        let own: [String]
        var hasImage = false
        switch root.layer {
        case .directories(let upper, let work): own = [upper, work, "", ""]
        case .image(let path, let place):
            own = ["upper", "work", path, place]
            hasImage = true
        }
        let error = withCStrings(root.lower) { lower in
            withCStrings(own) { own in
                lower.map { UnsafePointer($0) }.withUnsafeBufferPointer { lower in
                    var description = nj_root(
                        lower: lower.baseAddress, upper: own[0], work: own[1], image: hasImage ? own[2] : nil,
                        place: own[3], is_fresh: root.fresh ? 1 : 0, is_volatile: root.volatile ? 1 : 0)
                    return nj_attach_root(gofer, &description, arguments.mountPoint, &step, &layer)
                }
            }
        }
        guard error != 0 else {
            state = .attached
            return nil
        }
        let name = String(decoding: step.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "\(name): \(String(cString: strerror(error)))"
    }

    // MARK: Memory

    /// Begins to watch the sandbox's memory.
    ///
    /// - Returns: Whether it can be watched.
    mutating func guardMemory(_ marks: ShimMarks) -> Bool {
        guard state != .ended else { return false }
        if memory == nil { memory = MemoryGuard(cgroups: arguments.cgroups, marks: marks) }
        return memory != nil
    }

    /// What the loop has to wait for, and until when.
    var guardPolls: [pollfd] { state == .ended ? [] : memory?.polls ?? [] }
    var nextLook: Int? { state == .ended ? nil : memory?.nextLook }

    /// Does what a lack of memory asks for.
    mutating func lookAtMemory(now: Int) {
        if call >= 0, let answer = readSome(call, 4096), !answer.isEmpty || errno != EAGAIN { endCall() }
        guard state != .ended, memory != nil else { return }
        memory?.acknowledge()
        switch memory?.look(now: now) {
        case .relieve: signalInit()
        case .end:
            note("the sandbox is out of memory")
            isOutOfMemory = true
            kill(sandbox, SIGKILL)
            memory = nil
        case .some(.none), nil: break
        }
    }

    /// Asks the init, by a signal, to end its largest process. Nobody waits for the answer.
    private mutating func signalInit() {
        endCall()
        guard let id = arguments.slot.split(separator: "/").last else { return }
        call = nj_unix_socket("\(arguments.slot)/r/runsc-\(id).sock", 0)
        guard call >= 0 else { return }
        let request =
            #"{"method":"containerManager.Signal","arg":{"CID":"\#(id)","Signo":\#(SIGURG),"PID":0,"Mode":0}}"#
        let bytes = Array(request.utf8)
        _ = write(call, bytes, bytes.count)
    }

    private mutating func endCall() {
        if call >= 0 { close(call) }
        call = -1
    }

    /// Ends a sandbox that did not end with its gofer.
    func endOrphan() {
        thaw()
        kill(sandbox, SIGKILL)
    }

    /// A frozen process of a cgroup of version 1 does not even end by SIGKILL.
    private func thaw() {
        for cgroup in arguments.cgroups {
            let file = cgroup + "/freezer.state"
            if access(file, F_OK) == 0 { writeFile(file, "THAWED") }
        }
    }

    /// Sends SIGKILL to everything that is left.
    func killAll() {
        thaw()
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

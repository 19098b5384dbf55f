internal import CLinux
internal import Glibc

/// A sandbox of gVisor: a process with its kernel, and one that opens files for it, the gofer. A command makes both and
/// ends; its standard input and output, which become the sandbox's, are the guest's channel.
struct GVisorSandbox: Sandbox {
    private let arguments: ShimArguments
    private let mountPoint: String
    private var creator: Int32 = 0
    private var creatorStatus: Int32?
    private var sandbox: Int32 = 0
    private var gofer: Int32 = 0
    private var goferIsGone = false
    private var sandboxIsGone = false
    /// The root of the image that is the writable layer; -1: there is none. It keeps the image mounted.
    private var layer: Int32 = -1
    private var memory: MemoryGuard?
    /// A call to gVisor that is not answered yet; -1: none.
    private var call: Int32 = -1
    private(set) var isOutOfMemory = false

    init(_ arguments: ShimArguments, mountPoint: String) {
        self.arguments = arguments
        self.mountPoint = mountPoint
    }

    var processes: [(name: String, pid: Int32)] {
        sandbox > 0 && gofer > 0 ? [("sandbox", sandbox), ("gofer", gofer)] : []
    }

    var isOrphaned: Bool { goferIsGone && !sandboxIsGone }

    // MARK: Starting

    mutating func start(_ ends: GuestEnds) -> String? {
        let error = spawn(descriptors: [ends.channel, ends.channel, ends.errors])
        return error == 0 ? nil : "cannot start \(arguments.command[0]): \(String(cString: strerror(error)))"
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

    mutating func settle(errors: [UInt8]) -> Settlement {
        guard let creatorStatus else { return .waiting(nil) }
        guard creatorStatus == 0 else {
            return .failed("creating the sandbox failed: \(String(decoding: errors, as: UTF8.self))")
        }
        guard !processes.isEmpty || identify() else { return .failed("the sandbox's processes are not there") }
        if isGoferInPlace { return .ready }
        return isOrphaned || sandboxIsGone ? .failed("the gofer did not come to its root") : .waiting(2)
    }

    /// Finds the sandbox's processes, which the creating command left behind.
    ///
    /// - Returns: Whether both are there.
    private mutating func identify() -> Bool {
        for child in children() {
            if child.name == "runsc-sandbox" { sandbox = child.pid }
            if child.name == "runsc-gofer" { gofer = child.pid }
        }
        return !processes.isEmpty
    }

    /// Whether the gofer has arrived in the generic root. On a busy machine the creating command may be through before
    /// that, and what is attached then would be lost, or find no mount point.
    private var isGoferInPlace: Bool {
        var its = stat()
        var generic = stat()
        guard stat("/proc/\(gofer)/root/.", &its) == 0, stat(arguments.slot + "/../root", &generic) == 0 else {
            return false
        }
        return its.st_dev == generic.st_dev && its.st_ino == generic.st_ino
    }

    mutating func reaped(_ pid: Int32, status: Int32) -> Int32? {
        if pid == creator { creatorStatus = status }
        if pid == sandbox { note("the sandbox ended with status \(status)") }
        if pid == gofer { note("the gofer ended with status \(status)") }
        // A sandbox without its files is of no use. But the gofer also ends when the sandbox does, and may be
        // seen to end first: an orderly end of the sandbox must keep its exit code.
        if pid == gofer { goferIsGone = true }
        if pid == gofer, status != 0 { endOrphan() }
        guard pid == sandbox, pid > 0 else { return nil }
        sandboxIsGone = true
        kill(gofer, SIGKILL)
        return exitCode(status)
    }

    private func endOrphan() {
        thaw(arguments.cgroups)
        kill(sandbox, SIGKILL)
    }

    // MARK: Requests

    mutating func perform(
        _ operation: ShimOperation, _ payload: ArraySlice<UInt8>, _ state: Slot.State
    ) -> Outcome? {
        switch operation {
        case .attachRoot:
            guard state == .created else { return .failed("the slot is \(state.rawValue)") }
            guard let root = ShimRoot(payload) else { return .failed("the request is malformed") }
            return attach(root).map { .failed($0) } ?? Outcome(isAttached: true)
        case .guardMemory:
            guard let marks = ShimMarks(payload) else { return .failed("the request is malformed") }
            return guardMemory(marks, state) ? Outcome() : .failed("the sandbox's memory cannot be watched")
        case .layer: return layer >= 0 ? Outcome(descriptor: layer) : .failed("the layer is no image")
        default: return nil
        }
    }

    /// Puts the real root in place of the generic one.
    ///
    /// - Returns: What failed; `nil` if nothing did.
    private mutating func attach(_ root: ShimRoot) -> String? {
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
                    return nj_attach_root(gofer, &description, mountPoint, &step, &layer)
                }
            }
        }
        return error == 0 ? nil : describe(step, error)
    }

    // MARK: Memory

    /// Begins to watch the sandbox's memory.
    ///
    /// - Returns: Whether it can be watched.
    private mutating func guardMemory(_ marks: ShimMarks, _ state: Slot.State) -> Bool {
        guard state != .ended else { return false }
        if memory == nil { memory = MemoryGuard(cgroups: arguments.cgroups, marks: marks) }
        return memory != nil
    }

    var polls: [pollfd] {
        let answer = call >= 0 ? [pollfd(fd: call, events: Int16(POLLIN), revents: 0)] : []
        return answer + (sandboxIsGone ? [] : memory?.polls ?? [])
    }

    var nextLook: Int? { sandboxIsGone ? nil : memory?.nextLook }

    /// Does what a lack of memory asks for.
    mutating func look(now: Int) {
        if call >= 0, let answer = readSome(call, 4096), !answer.isEmpty || errno != EAGAIN { endCall() }
        guard !sandboxIsGone, memory != nil else { return }
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
}

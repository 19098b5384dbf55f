internal import CLinux
internal import Glibc
internal import Wire

/// Turns a request into a running process.
struct Spawn {
    /// A started process with the init's ends of its descriptors, all non-blocking.
    struct Started {
        var pid: pid_t
        /// Of a terminal: the master, and nothing else.
        var output: Int32
        var error: Int32?
        var input: Int32?
    }

    static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    static let maximumArguments = 1 << 16
    /// `RLIMIT_NPROC`, which is a macro.
    private static let processes: Int32 = 6

    let request: ProcessStart
    let account: Account
    /// The limits that children begin with, since the init raised its own.
    let openFiles: rlimit
    /// What one user may start; the kernel exempts root.
    var maximumProcesses: UInt64?

    /// Where the process starts, as the host is told.
    var directory: String {
        if !request.directory.isEmpty { return request.directory }
        return account.home.isEmpty ? "/" : account.home
    }

    /// The environment with what the user's account adds to it.
    func environment() -> [String] {
        var environment = request.environment
        let shell = account.shell.isEmpty ? "/bin/sh" : account.shell
        let additions = [
            ("HOME", account.home.isEmpty ? "/" : account.home), ("USER", account.name),
            ("LOGNAME", account.name), ("SHELL", shell),
        ]
        for (key, value) in additions where environment[key] == nil { environment[key] = value }
        return environment.map { "\($0.key)=\($0.value)" }
    }

    /// Where the program may be, in the order of `PATH`.
    static func candidates(_ program: String, path: String?) -> [String] {
        if program.utf8.contains(Path.slash) { return [program] }
        return (path ?? standardPath).split(separator: ":", omittingEmptySubsequences: false).map {
            $0.isEmpty ? "./\(program)" : "\($0)/\(program)"
        }
    }

    func validate() throws(WireStatus) {
        guard let program = request.arguments.first, !program.isEmpty else {
            throw WireStatus(.invalid, "There is no command to run")
        }
        guard request.arguments.count <= Spawn.maximumArguments else {
            throw WireStatus(.tooLarge, "There are more than \(Spawn.maximumArguments) arguments")
        }
        guard !request.arguments.contains(where: { $0.utf8.contains(0) }) else {
            throw WireStatus(.invalid, "An argument contains a NUL byte")
        }
        for (key, value) in request.environment {
            guard !key.isEmpty, !key.utf8.contains(UInt8(ascii: "=")) else {
                throw WireStatus(.invalid, "\(Path.display(key)) is not a name for an environment variable")
            }
            guard !key.utf8.contains(0), !value.utf8.contains(0) else {
                throw WireStatus(.invalid, "The environment variable \(Path.display(key)) contains a NUL byte")
            }
        }
        guard request.directory.isEmpty || request.directory.hasPrefix("/"), !request.directory.utf8.contains(0) else {
            throw WireStatus(
                .invalid, "The working directory \(Path.display(request.directory)) is not an absolute path")
        }
    }

    func start() throws(WireStatus) -> Started {
        try validate()
        let descriptors = request.terminal == nil ? try Descriptors.pipes(input: request.input) : try terminal()
        do throws(WireStatus) {
            let pid = try run(descriptors.child)
            descriptors.closeChildEnds()
            return Started(
                pid: pid, output: descriptors.output, error: descriptors.error, input: descriptors.input)
        } catch {
            descriptors.closeAll()
            throw error
        }
    }

    private func terminal() throws(WireStatus) -> Descriptors {
        let size = request.terminal ?? .init(columns: 80, rows: 24)
        return try Descriptors.terminal(size, owner: account.uid)
    }

    private func run(_ child: [Int32]) throws(WireStatus) -> pid_t {
        let arguments = CStrings(request.arguments)
        let environment = CStrings(environment())
        let program = request.arguments[0]
        let candidates = CStrings(Spawn.candidates(program, path: request.environment["PATH"]))
        let shell = CStrings(["/bin/sh", ""] + request.arguments.dropFirst())
        let placeholder = shell.pointers[1]
        defer { shell.pointers[1] = placeholder }
        var limits = [
            nj_limit(
                resource: Int32(RLIMIT_NOFILE.rawValue), soft: UInt64(openFiles.rlim_cur),
                hard: UInt64(openFiles.rlim_max))
        ]
        if let maximum = maximumProcesses, !request.limits.contains(where: { Int32($0.resource) == Self.processes }) {
            limits.append(nj_limit(resource: Self.processes, soft: maximum, hard: maximum))
        }
        limits += request.limits.map { nj_limit(resource: Int32($0.resource), soft: $0.soft, hard: $0.hard) }
        var step: Int32 = 0
        var error: Int32 = 0
        let pid = account.groups.withUnsafeBufferPointer { groups in
            limits.withUnsafeBufferPointer { limits in
                directory.withCString { directory in
                    var spawn = nj_spawn()
                    spawn.argv = UnsafePointer(arguments.pointers)
                    spawn.envp = UnsafePointer(environment.pointers)
                    spawn.candidates = UnsafePointer(candidates.pointers)
                    spawn.shell_argv = shell.pointers
                    spawn.descriptors = (child[0], child[1], child[2])
                    spawn.terminal = request.terminal == nil ? 0 : 1
                    spawn.uid = account.uid
                    spawn.gid = account.gid
                    spawn.groups = groups.baseAddress
                    spawn.group_count = groups.count
                    spawn.directory = directory
                    spawn.directory_is_a_wish = request.directory.isEmpty ? 1 : 0
                    spawn.limits = limits.baseAddress
                    spawn.limit_count = limits.count
                    return nj_spawn(&spawn, &step, &error)
                }
            }
        }
        guard pid > 0 else { throw failure(step, error) }
        return pid
    }

    private func failure(_ step: Int32, _ error: Int32) -> WireStatus {
        let program = Path.display(request.arguments[0])
        switch nj_spawn_step(rawValue: UInt32(step)) {
        case NJ_STEP_EXECUTE:
            if error == E2BIG {
                return WireStatus(.tooLarge, "The arguments and the environment are too long", errno: error)
            }
            if error == ENOENT, !program.utf8.contains(Path.slash) {
                return WireStatus(.cannotExecute, "Cannot run \(program): it is not in the PATH", errno: error)
            }
            return WireStatus(.cannotExecute, "Cannot run \(program): \(SystemError.text(error))", errno: error)
        case NJ_STEP_DIRECTORY:
            return SystemError.status(error, "Cannot start in the directory", Array(directory.utf8))
        case NJ_STEP_LIMITS:
            return WireStatus(.invalid, "A resource limit cannot be set: \(SystemError.text(error))", errno: error)
        case NJ_STEP_USER:
            return WireStatus(
                .permission, "Cannot become the user \(account.name): \(SystemError.text(error))", errno: error)
        default:
            return WireStatus(.failed, "The process cannot be made: \(SystemError.text(error))", errno: error)
        }
    }
}

/// Both ends of a process's standard descriptors.
struct Descriptors {
    var child: [Int32]
    var output: Int32
    var error: Int32?
    var input: Int32?
    private var sharedChild = false

    private init(child: [Int32], output: Int32, error: Int32?, input: Int32?) {
        self.child = child
        self.output = output
        self.error = error
        self.input = input
    }

    static func terminal(_ size: ProcessStart.Terminal, owner: UInt32) throws(WireStatus) -> Descriptors {
        var master: Int32 = -1
        var slave: Int32 = -1
        let error = nj_open_terminal(size.columns, size.rows, &master, &slave)
        guard error == 0 else {
            throw WireStatus(
                error == ENOENT ? .unsupported : SystemError.code(error),
                "The sandbox has no terminal to give: \(SystemError.text(error))", errno: error)
        }
        // A program may reopen its terminal by name; without this only root could.
        if owner != 0 {
            fchown(slave, owner, .max)
            fchmod(slave, 0o620)
        }
        var descriptors = Descriptors(child: [slave, slave, slave], output: master, error: nil, input: nil)
        descriptors.sharedChild = true
        return descriptors
    }

    static func pipes(input mode: ProcessStart.Input) throws(WireStatus) -> Descriptors {
        var opened: [Int32] = []
        do throws(WireStatus) {
            let output = try pipe(&opened)
            let error = try pipe(&opened)
            var inputRead: Int32
            var inputWrite: Int32?
            if mode == .pipe {
                let input = try pipe(&opened)
                (inputRead, inputWrite) = (input.read, input.write)
            } else {
                inputRead = nj_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0)
                if inputRead < 0 {
                    // Without /dev/null: a pipe that nobody writes to is as empty.
                    let input = try pipe(&opened)
                    inputRead = input.read
                    close(input.write)
                }
            }
            for descriptor in [output.read, error.read, inputWrite ?? -1] where descriptor >= 0 {
                _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            }
            return Descriptors(
                child: [inputRead, output.write, error.write], output: output.read, error: error.read, input: inputWrite
            )
        } catch {
            for descriptor in opened { close(descriptor) }
            throw error
        }
    }

    private static func pipe(_ opened: inout [Int32]) throws(WireStatus) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard nj_guest_pipe(&ends) == 0 else { throw SystemError.status(errno, "A pipe cannot be made") }
        opened += ends
        return (ends[0], ends[1])
    }

    func closeChildEnds() {
        for descriptor in sharedChild ? [child[0]] : child { close(descriptor) }
    }

    func closeAll() {
        closeChildEnds()
        for descriptor in [output, error ?? -1, input ?? -1] where descriptor >= 0 { close(descriptor) }
    }
}

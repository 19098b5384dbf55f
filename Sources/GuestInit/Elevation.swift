internal import CLinux
internal import Glibc

/// Lets members of the group `sudo` become root inside, where the kernel ignores set-user-id bits, as gVisor does.
///
/// The init listens on a socket that only they may connect to, and starts its own program as `elevate-serve` for every
/// connection, with the connection as standard input (``ElevationServer``). The other side is `init elevate …`, which the
/// template's `sudo` calls (``ElevationClient``). It guards a user of the sandbox against mistakes and is no boundary:
/// whoever may use a sandbox may be root in it.
final class Elevation {
    /// In memory, so that no checkpoint depends on it. The rights of the file say who may connect: gVisor does not tell
    /// who the peer of a socket is.
    static let socketPath = "/run/.nightjar-elevation"
    static let group = "sudo"
    static let serveVerb = "elevate-serve"
    static let elevateVerb = "elevate"

    private let loop: EventLoop
    private let openFiles: rlimit

    init(loop: EventLoop, openFiles: rlimit) {
        self.loop = loop
        self.openFiles = openFiles
    }

    /// Begins to listen. If that fails, or there is no group `sudo`, `sudo` does not work, and everything else does.
    func begin() {
        let groups = AccountFiles(passwd: [], group: SmallFile.read("/etc/group") ?? []).groups
        guard let gid = groups.first(where: { $0.name == Elevation.group })?.gid else { return }
        unlink(Elevation.socketPath)
        let mask = umask(0o177)
        let opened = Elevation.open({ bind($0, $1, $2) })
        umask(mask)
        guard let socket = opened else { return }
        _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
        guard chown(Elevation.socketPath, 0, gid) == 0, chmod(Elevation.socketPath, 0o660) == 0,
            listen(socket, 64) == 0,
            loop.add(socket, .read, { [unowned self] _ in take(socket) }) != nil
        else {
            close(socket)
            return
        }
    }

    private func take(_ socket: Int32) {
        while true {
            let connection = accept(socket, nil, nil)
            if connection < 0, errno == EINTR || errno == ECONNABORTED { continue }
            guard connection >= 0 else { return }
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            start(connection)
            close(connection)
        }
    }

    private func start(_ connection: Int32) {
        let null = nj_openat(AT_FDCWD, "/dev/null", O_RDWR, 0)
        guard null >= 0 else { return }
        defer { close(null) }
        let command = ElevatedCommand(
            program: "/proc/self/exe", arguments: ["nightjar-elevate", Elevation.serveVerb], environment: [],
            directory: "/", descriptors: (connection, null, null))
        _ = command.start(openFiles: openFiles)
    }

    /// A socket of the elevation's address, after `attach` (bind or connect) has succeeded on it.
    static func open(_ attach: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32? {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + socketPath.utf8.count + 1)
        let attached = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { attach(descriptor, $0, length) }
        }
        guard attached == 0 else {
            let error = errno
            close(descriptor)
            errno = error
            return nil
        }
        return descriptor
    }
}

/// A program that is started as root with given descriptors.
struct ElevatedCommand {
    var program: String
    var arguments: [String]
    var environment: [String]
    var directory: String
    var descriptors: (Int32, Int32, Int32)

    /// The pid, or the negated errno.
    func start(openFiles: rlimit?) -> pid_t {
        let argv = CStrings(arguments)
        let envp = CStrings(environment)
        let candidates = CStrings([program])
        let shell = CStrings(["/bin/sh", ""] + arguments.dropFirst())
        let placeholder = shell.pointers[1]
        defer { shell.pointers[1] = placeholder }
        let limits = openFiles.map {
            [nj_limit(resource: Int32(RLIMIT_NOFILE.rawValue), soft: UInt64($0.rlim_cur), hard: UInt64($0.rlim_max))]
        }
        var groups: [UInt32] = [0]
        var step: Int32 = 0
        var error: Int32 = 0
        let pid = (limits ?? []).withUnsafeBufferPointer { limits in
            groups.withUnsafeMutableBufferPointer { groups in
                directory.withCString { directory in
                    var spawn = nj_spawn()
                    spawn.argv = UnsafePointer(argv.pointers)
                    spawn.envp = UnsafePointer(envp.pointers)
                    spawn.candidates = UnsafePointer(candidates.pointers)
                    spawn.shell_argv = shell.pointers
                    spawn.descriptors = descriptors
                    spawn.groups = UnsafePointer(groups.baseAddress)
                    spawn.group_count = groups.count
                    spawn.directory = directory
                    spawn.directory_is_a_wish = 1
                    spawn.limits = limits.baseAddress
                    spawn.limit_count = limits.count
                    return nj_spawn(&spawn, &step, &error)
                }
            }
        }
        return pid > 0 ? pid : -error
    }
}

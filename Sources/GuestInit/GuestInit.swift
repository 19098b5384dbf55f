internal import CLinux
internal import Glibc
internal import Wire

/// The guest's init as a program.
public enum GuestInit {
    /// Runs as PID 1 until the sandbox is shut down: the host speaks over descriptor 0 (to read) and 1 (to write),
    /// descriptor 2 takes log lines. In a machine of the sandbox's own it brings that up first. As any other process it
    /// answers `--version`, does its part in ``Elevation``, and refuses everything else, because its shutdown signals
    /// every process there is.
    public static func main() -> Never {
        guard getpid() == 1 else { notInit() }
        let log = Log()
        let machine = Machine.bringUp(log: log)
        nj_mount_system()
        prepareDescriptors()
        let signals = nj_signals([SIGCHLD, SIGTERM, SIGINT, SIGPWR, Guest.relief], 5)
        umask(0o022)
        _ = chdir("/")
        nj_loopback_up()
        makeTemporaryDirectory()
        let openFiles = raiseOpenFiles()
        guard signals >= 0, let guest = Guest(log: log, openFiles: openFiles, machine: machine) else {
            log.line("cannot start: \(SystemError.text(errno))")
            if let machine { machine.end(log: log) }
            exit(70)
        }
        guest.run(signals: signals)
    }

    private static func notInit() -> Never {
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "--version":
            print("nightjar-init \(Guest.version) (wire generation \(Hello.generation))")
            exit(0)
        case Elevation.serveVerb: ElevationServer.run()
        case Elevation.elevateVerb: ElevationClient.run(Array(arguments.dropFirst()))
        default: break
        }
        print("nightjar-init is the first process of a sandbox and does nothing elsewhere, except --version")
        exit(64)
    }

    /// No child may inherit what PID 1 was given, and 0 to 2 must be taken.
    private static func prepareDescriptors() {
        for descriptor in Int32(0)..<3 where fcntl(descriptor, F_GETFD) < 0 {
            if nj_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) < 0 { _ = eventfd(0, 0) }
        }
        for descriptor in Int32(0)..<64 {
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    private static func makeTemporaryDirectory() {
        if mkdir("/tmp", 0o1777) == 0 { chmod("/tmp", 0o1777) }
    }

    /// Many streams need many descriptors; children begin with the limits from before, which are returned.
    private static func raiseOpenFiles() -> rlimit {
        var limit = rlimit()
        guard getrlimit(RLIMIT_NOFILE.resource, &limit) == 0 else { return rlimit(rlim_cur: 1024, rlim_max: 4096) }
        var raised = limit
        raised.rlim_cur = raised.rlim_max
        setrlimit(RLIMIT_NOFILE.resource, &raised)
        return limit
    }
}

extension __rlimit_resource {
    fileprivate var resource: __rlimit_resource_t { __rlimit_resource_t(rawValue) }
}

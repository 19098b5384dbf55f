internal import CLinux
internal import Glibc

/// The small process between the server and one sandbox.
///
/// It is the parent of the sandbox's processes and holds the host's end of the guest's channel, so that the server may
/// die and come back; it reaps, and it removes everything at the end. It has one thread and sleeps in `poll`.
public enum Shim {
    /// Runs the shim as this process's command line says; never returns.
    public static func main() -> Never {
        if getpid() == 1, CommandLine.arguments.count == 1 { ProbeGuest.run() }
        guard let arguments = ShimArguments(Array(CommandLine.arguments.dropFirst())) else {
            announce(
                "error usage: nightjar-shim --slot DIR (--mount-point DIR | --jail UID) ... -- PROGRAM ARGUMENT...")
            exit(2)
        }
        umask(0o077)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        // A service manager's SIGTERM is for the server; sandboxes end only when they are told to.
        signal(SIGINT, SIG_IGN)
        signal(SIGTERM, SIG_IGN)
        let signals = nj_host_signals([SIGCHLD], 1)
        let subreaper = nj_become_subreaper()
        guard signals >= 0, subreaper == 0 else {
            announce("error signals: \(signals), subreaper: \(subreaper)")
            exit(1)
        }
        var server = ShimServer(slot: Slot(arguments), signals: signals)
        exit(server.run())
    }

    /// Tells the server, which waits for one line on this process's standard output.
    static func announce(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
        // The server may go; nobody should wait for more.
        let null = nj_open_at(AT_FDCWD, "/dev/null", O_RDWR, 0)
        if null >= 0 {
            dup2(null, 1)
            close(null)
        }
    }
}

internal import CLinux
internal import Glibc
internal import Wire

/// Runs one `sudo` as root for somebody who was let in. A process of its own, with one thread.
enum ElevationServer {
    private static let sudo = "/usr/bin/sudo"
    /// Exit code of sudo itself when it cannot run a command.
    private static let refused: UInt8 = 1

    /// The connection is standard input.
    static func run() -> Never {
        let connection = fcntl(0, F_DUPFD_CLOEXEC, 3)
        guard connection >= 0 else { exit(70) }
        let signals = nj_signals([SIGCHLD], 1)
        let result = serve(connection, signals)
        _ = ElevationStream.write(result.encoded(), to: connection)
        exit(0)
    }

    private static func serve(_ connection: Int32, _ signals: Int32) -> ElevationResult {
        guard let (request, descriptors) = receive(connection), descriptors.count == 3 else {
            return ElevationResult(code: refused, text: "sudo: the request was not understood")
        }
        let command = ElevatedCommand(
            program: sudo, arguments: ["sudo"] + request.arguments, environment: request.environment,
            directory: request.directory, descriptors: (descriptors[0], descriptors[1], descriptors[2]))
        let pid = command.start(openFiles: nil)
        for descriptor in descriptors { close(descriptor) }
        guard pid > 0 else {
            return ElevationResult(code: refused, text: "sudo: cannot run \(sudo): \(SystemError.text(-pid))")
        }
        return ElevationResult(code: wait(pid, connection, signals))
    }

    private static func receive(_ connection: Int32) -> (ElevationRequest, [Int32])? {
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var header = [UInt8](repeating: 0, count: 4)
        var descriptors = [Int32](repeating: -1, count: 3)
        var count = descriptors.count
        guard nj_receive_descriptors(connection, &header, header.count, &descriptors, &count) == header.count else {
            return nil
        }
        var reader = WireReader(header)
        guard let length = try? reader.u32(), length <= ElevationRequest.maximum,
            let bytes = ElevationStream.read(Int(length), from: connection),
            let request = try? ElevationRequest(decoding: bytes),
            !request.environment.contains(where: { $0.utf8.contains(0) })
        else { return nil }
        return (request, Array(descriptors.prefix(count)))
    }

    /// Passes signals on until the command has ended. Who hangs up ends it.
    private static func wait(_ pid: pid_t, _ connection: Int32, _ signals: Int32) -> UInt8 {
        var polled = [
            pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid { return UInt8(clamping: nj_exit_code(status)) }
            _ = poll(&polled, nfds_t(polled.count), -1)
            if polled[0].revents != 0 {
                var info = signalfd_siginfo()
                _ = read(signals, &info, MemoryLayout<signalfd_siginfo>.size)
            }
            guard polled[1].revents != 0 else { continue }
            var signal: UInt8 = 0
            if recv(connection, &signal, 1, 0) == 1 {
                if signal > 0, signal < 32 { kill(-pid, Int32(signal)) }
            } else {
                kill(-pid, SIGHUP)
                kill(-pid, SIGCONT)
                polled.removeLast()
                polled.append(pollfd(fd: -1, events: 0, revents: 0))
            }
        }
    }
}

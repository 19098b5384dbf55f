internal import CLinux
internal import Glibc
internal import Wire

/// `init elevate ARGUMENTS…`: has the init run `sudo ARGUMENTS…` as root on this process's descriptors.
enum ElevationClient {
    /// Passed on. Those of the terminal reach only the process in its foreground, which is this one.
    private static let forwarded = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT]

    static func run(_ arguments: [String]) -> Never {
        let signals = nj_signals(forwarded, forwarded.count)
        guard signals >= 0, let connection = Elevation.open({ connect($0, $1, $2) }) else {
            if errno == EACCES { fail("sudo: this user is not in the group \(Elevation.group)") }
            fail("sudo: the sandbox's init does not answer: \(SystemError.text(errno))")
        }
        let request = ElevationRequest(
            directory: directory(), arguments: arguments,
            environment: SmallFile.read("/proc/self/environ").map(variables) ?? [])
        guard send(request, over: connection) else {
            fail("sudo: the sandbox's init does not take the request")
        }
        guard let result = ElevationResult(decoding: wait(connection, signals)) else {
            fail("sudo: the command's end was not told")
        }
        if !result.text.isEmpty { fail(result.text, code: Int32(result.code)) }
        exit(Int32(result.code))
    }

    private static func fail(_ text: String, code: Int32 = 1) -> Never {
        let line = Array((text + "\n").utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, line.count) }
        exit(code)
    }

    private static func directory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    private static func variables(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func send(_ request: ElevationRequest, over connection: Int32) -> Bool {
        let bytes = request.encoded()
        guard bytes.count <= ElevationRequest.maximum else { return false }
        var header = WireWriter()
        header.u32(UInt32(bytes.count))
        let descriptors: [Int32] = [0, 1, 2]
        return nj_send_descriptors(connection, header.bytes, header.bytes.count, descriptors, descriptors.count)
            == header.bytes.count
            && ElevationStream.write(bytes, to: connection)
    }

    /// Passes signals on until the other side hangs up, and returns what it said.
    private static func wait(_ connection: Int32, _ signals: Int32) -> [UInt8] {
        var answer: [UInt8] = []
        var polled = [
            pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            guard retrying({ Int(poll(&polled, nfds_t(polled.count), -1)) }) > 0 else { return answer }
            if polled[0].revents != 0 {
                var info = signalfd_siginfo()
                if read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
                    _ = ElevationStream.write([UInt8(truncatingIfNeeded: info.ssi_signo)], to: connection)
                }
            }
            guard polled[1].revents != 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = retrying { recv(connection, &buffer, buffer.count, 0) }
            guard count > 0, answer.count <= ElevationResult.maximumText else { return answer }
            answer += buffer.prefix(count)
        }
    }
}

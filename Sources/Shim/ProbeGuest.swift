internal import Glibc

/// What the probe says first.
public enum ProbeGreeting {
    public static let bytes: [UInt8] = Array("probe\n".utf8)
}

/// What this program is inside a sandbox that only exists to find out whether sandboxes work here: it greets, and then
/// answers every byte with the same byte.
enum ProbeGuest {
    static func run() -> Never {
        _ = write(1, ProbeGreeting.bytes, ProbeGreeting.bytes.count)
        while true {
            // gVisor may hand over the channel as non-blocking.
            var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            poll(&waiting, 1, -1)
            guard let bytes = readSome(0, 64) else {
                if errno == EAGAIN { continue }
                exit(1)
            }
            if bytes.isEmpty { exit(0) }
            _ = write(1, bytes, bytes.count)
        }
    }
}

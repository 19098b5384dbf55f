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
            guard let bytes = readSome(0, 64) else { exit(errno) }
            if bytes.isEmpty { exit(1) }
            _ = write(1, bytes, bytes.count)
        }
    }
}

internal import CLinux
internal import Glibc
internal import Wire

/// The guest's clock, entropy and name.
enum SystemControl {
    /// How wrong a clock may be that cannot be set.
    private static let tolerableNanoseconds: Int64 = 100_000_000
    private static let maximumEntropy = 512

    static func setClock(_ nanoseconds: Int64) throws(WireStatus) {
        guard nanoseconds >= 0 else { throw WireStatus(.invalid, "The time lies before 1970") }
        var time = timespec()
        time.tv_sec = Int(nanoseconds / 1_000_000_000)
        time.tv_nsec = Int(nanoseconds % 1_000_000_000)
        if clock_settime(CLOCK_REALTIME, &time) == 0 { return }
        let error = errno
        // gVisor's clock is the host's, and right without our help.
        let difference = EventLoop.wallClock().subtractingReportingOverflow(nanoseconds).partialValue
        if difference.magnitude <= UInt64(tolerableNanoseconds) { return }
        throw WireStatus(
            .unsupported, "The clock is \(difference.magnitude / 1_000_000) ms off and cannot be set", errno: error)
    }

    static func addEntropy(_ bytes: [UInt8]) throws(WireStatus) {
        guard bytes.count <= maximumEntropy else {
            throw WireStatus(.tooLarge, "At most \(maximumEntropy) bytes of entropy are taken")
        }
        guard !bytes.isEmpty else { return }
        let error = nj_add_entropy(bytes, bytes.count)
        guard error == 0 else { throw SystemError.status(error, "Entropy cannot be added") }
    }

    static func setHostname(_ name: String) throws(WireStatus) {
        let bytes = Array(name.utf8)
        guard (1...64).contains(bytes.count), !bytes.contains(0), !bytes.contains(Path.slash) else {
            throw WireStatus(.invalid, "\(Path.display(name)) is not a host name")
        }
        guard bytes.withCPath({ sethostname($0, bytes.count) }) == 0 else {
            throw SystemError.status(errno, "The host name cannot be set")
        }
    }
}

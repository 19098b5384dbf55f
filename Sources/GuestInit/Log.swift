internal import Glibc

/// The init's few words to the host's log: one line each, and not without end.
final class Log {
    private static let maximumLines = 500
    private var lines = 0

    func line(_ text: String) {
        lines += 1
        guard lines <= Log.maximumLines else { return }
        let bounded = text.utf8.prefix(400).map { $0 < 32 ? UInt8(ascii: " ") : $0 }
        let suffix = lines == Log.maximumLines ? " (no further lines)" : ""
        let bytes = Array("nightjar-init: ".utf8) + bounded + Array(suffix.utf8) + [UInt8(ascii: "\n")]
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}

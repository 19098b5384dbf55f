internal import CLinux
internal import Glibc

/// What the kernel of a machine says of processes that it ended because memory was out.
final class KernelLog {
    struct Kill: Hashable {
        var pid: UInt32
        var command: String
        /// Memory of its own that it held.
        var bytes: UInt64
    }

    private static let record = 8192
    private static let path = "/dev/kmsg"

    private let descriptor: Int32
    private let onKill: (Kill) -> Void

    /// Tells of what comes from now on; `nil` if the log cannot be read.
    init?(loop: EventLoop, onKill: @escaping (Kill) -> Void) {
        descriptor = nj_openat(AT_FDCWD, KernelLog.path, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return nil }
        self.onKill = onKill
        lseek(descriptor, 0, SEEK_END)
        guard loop.add(descriptor, .read, { [unowned self] _ in catchUp() }) != nil else {
            close(descriptor)
            return nil
        }
    }

    /// Reads what is there now; each read gives one record.
    func catchUp() {
        while true {
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: KernelLog.record) { buffer, initialized in
                count = read(descriptor, buffer.baseAddress, buffer.count)
                initialized = max(0, count)
            }
            // The oldest records are overwritten by new ones, of which the next read tells.
            if count < 0, errno == EPIPE || errno == EINTR { continue }
            guard count > 0 else { return }
            if let kill = KernelLog.kill(bytes) { onKill(kill) }
        }
    }

    /// From a record such as `3,812,5120000,-;Out of memory: Killed process 41 (python3) …, anon-rss:1200kB, …`. What a
    /// program writes into the log bears another facility than the kernel's 0.
    static func kill(_ record: [UInt8]) -> Kill? {
        let text = String(decoding: record.prefix { $0 != 10 }, as: UTF8.self)
        guard let semicolon = text.firstIndex(of: ";"),
            let priority = text[..<semicolon].split(separator: ",").first.flatMap({ UInt32($0) }), priority < 8,
            let rest = text[semicolon...].rest(after: "ut of memory: Killed process ")
        else { return nil }
        guard let open = rest.firstIndex(of: "("), let close = rest.lastIndex(of: ")"), open < close,
            let pid = UInt32(rest[..<open].filter(\.isNumber))
        else { return nil }
        let command = String(rest[rest.index(after: open)..<close])
        return Kill(pid: pid, command: command, bytes: kibibytes(after: "anon-rss:", in: rest) * 1024)
    }

    private static func kibibytes(after key: String, in text: Substring) -> UInt64 {
        UInt64(text.rest(after: key)?.prefix { $0.isNumber } ?? "") ?? 0
    }
}

extension Substring {
    /// What follows the first occurrence of a text; `nil` without one.
    fileprivate func rest(after text: String) -> Substring? {
        var rest = self
        while !rest.isEmpty {
            if rest.hasPrefix(text) { return rest.dropFirst(text.count) }
            rest = rest.dropFirst()
        }
        return nil
    }
}

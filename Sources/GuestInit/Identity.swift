internal import CLinux
internal import Glibc
internal import Wire

/// By what programs inside tell machines and boots apart. Two clones of one snapshot do not share it, while a sandbox
/// that wakes is the one that fell asleep.
final class Identity {
    private static let size = 16
    private static let machineFile = "/etc/machine-id"
    private static let bootFile = "/proc/sys/kernel/random/boot_id"
    /// In memory, and put over the kernel's own, which nobody can set and every clone inherits.
    private static let ownBootFile = "/run/.nightjar-boot-id"

    private let isMachine: Bool
    private var current: [UInt8]?
    private var isBootCovered = false

    init(isMachine: Bool) { self.isMachine = isMachine }

    /// Becomes the machine with this identity; if it is that already, nothing happens.
    func become(_ bytes: [UInt8]) throws(WireStatus) {
        guard bytes.count == Identity.size, bytes.contains(where: { $0 != 0 }) else {
            throw WireStatus(.invalid, "An identity is \(Identity.size) bytes that are not all zero")
        }
        guard bytes != current else { return }
        try writeMachine(Identity.hexadecimal(bytes) + "\n")
        if isMachine { try renewBoot() }
        current = bytes
    }

    /// A root without `/etc` has nobody who would look there.
    private func writeMachine(_ text: String) throws(WireStatus) {
        guard access("/etc", F_OK) == 0, SmallFile.read(Identity.machineFile, maximum: 64) != Array(text.utf8) else {
            return
        }
        let fresh = Identity.machineFile + ".nightjar"
        guard Identity.make(fresh, text), rename(fresh, Identity.machineFile) == 0 else {
            let error = errno
            unlink(fresh)
            throw SystemError.status(error, "The machine's identity cannot be written")
        }
    }

    private func renewBoot() throws(WireStatus) {
        var bytes = (0..<Identity.size).map { _ in UInt8.random(in: 0...UInt8.max) }
        // Version 4 of RFC 9562: random.
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array(Identity.hexadecimal(bytes))
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
        guard Identity.make(Identity.ownBootFile, parts.joined(separator: "-") + "\n") else {
            throw SystemError.status(errno, "The boot's identity cannot be written")
        }
        guard !isBootCovered else { return }
        let error = nj_mount_at("none", Identity.ownBootFile, Identity.bootFile, NJ_BIND.rawValue, nil)
        guard error == 0 else { throw SystemError.status(error, "The boot's identity cannot be set") }
        isBootCovered = true
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Writes a file that everybody may read; one that is there keeps its inode. `false` sets `errno`.
    private static func make(_ path: String, _ text: String) -> Bool {
        let descriptor = nj_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o444)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return SmallFile.write(text, to: path)
    }
}

internal import SandboxModel

#if canImport(Glibc)
internal import Glibc
#endif

/// The file that holds the API's key, readable by its owner alone.
enum APIKeyFile {
    /// Reads the key, or makes a new one of 256 random bits at the first start.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` if the file cannot be used, or others may read it.
    static func readOrCreate(at path: String) throws(SandboxError) -> String {
        if let key = try read(path) { return key }
        // Written aside and linked into place: a crash leaves no half key, a race no second one.
        let draft = "\(path).\(randomToken(8))"
        let key = "nj_" + randomToken(52)
        try write(key + "\n", to: draft, path)
        defer { unlink(draft) }
        if link(draft, path) != 0, errno != EEXIST { throw unusable(path) }
        guard let present = try read(path) else { throw unusable(path) }
        return present
    }

    private static func unusable(_ path: String) -> SandboxError {
        SandboxError(
            .unavailable, "The key file \(path) cannot be used: \(String(cString: strerror(errno))).",
            hint: "it must hold one line and have mode 0600; remove it to get a new key")
    }

    private static func read(_ path: String) throws(SandboxError) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw unusable(path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw SandboxError(.unavailable, "Others may read the key file \(path).", hint: "chmod 600 \(path)")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        let key = buffer.prefix(max(0, count)).filter { $0 > 0x20 }
        guard count > 0, (16...256).contains(key.count), key.allSatisfy({ $0 < 0x7F }) else {
            throw SandboxError(
                .unavailable, "The key file \(path) does not hold a key of 16 to 256 visible characters.",
                hint: "remove it to get a new key")
        }
        return String(decoding: key, as: UTF8.self)
    }

    private static func write(_ text: String, to draft: String, _ path: String) throws(SandboxError) {
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw unusable(path) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw unusable(path)
        }
    }
}

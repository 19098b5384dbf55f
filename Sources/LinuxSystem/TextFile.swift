internal import CLinux
internal import Glibc

/// Small files of the kernel's (and ours) that are read and written at once.
public enum TextFile {
    /// Reads a file as UTF-8, repairing what is not.
    ///
    /// - Parameter limit: Bytes at most; the rest is left out.
    public static func read(_ path: String, limit: Int = 64 * 1024) throws(SystemError) -> String {
        String(decoding: try bytes(path, limit: limit), as: UTF8.self)
    }

    /// Reads a file's bytes, at most `limit`.
    public static func bytes(_ path: String, limit: Int = 64 * 1024) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, O_RDONLY)
        var bytes: [UInt8] = []
        while bytes.count < limit {
            var result = 0
            let wanted = min(64 * 1024, limit - bytes.count)
            let part = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
                repeat { result = Glibc.read(file.raw, buffer.baseAddress, wanted) } while result < 0 && errno == EINTR
                filled = max(0, result)
            }
            guard result >= 0 else { throw SystemError.last("read", path) }
            if result == 0 { break }
            bytes += part
        }
        return bytes
    }

    /// Writes into an existing file (of the kernel's) with one call.
    public static func write(_ text: String, to path: String) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_WRONLY)
        try file.writeAll(Array(text.utf8), path)
    }
}

extension FileDescriptor {
    /// Writes all bytes at the file's position.
    public func writeAll(_ bytes: [UInt8], _ path: String? = nil) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let result = bytes.withUnsafeBytes { buffer in
                Glibc.write(raw, buffer.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if result < 0, errno == EINTR { continue }
            guard result > 0 else { throw SystemError.last("write", path) }
            written += result
        }
    }
}

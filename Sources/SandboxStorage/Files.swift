internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// Plain file operations that block; they throw ``SystemError`` or ``SandboxError``.
enum Files {
    static func failure(_ operation: String, _ path: String) -> SystemError { SystemError(errno, operation, path) }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func makeDirectory(_ path: String, mode: mode_t) throws {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("mkdir", path) }
        // The mode of mkdir is cut by the umask, and an existing directory may have another.
        guard chmod(path, mode) == 0 else { throw failure("chmod", path) }
    }

    static func makeDirectories(_ path: String, mode: mode_t) throws {
        var partial = ""
        for part in path.split(separator: "/") {
            partial += "/" + part
            if !exists(partial) { try makeDirectory(partial, mode: mode) }
        }
    }

    static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw failure("rename", from) }
    }

    static func size(_ path: String) throws -> Int64 {
        var info = stat()
        guard lstat(path, &info) == 0 else { throw failure("stat", path) }
        return Int64(info.st_size)
    }

    static func entries(_ path: String) throws -> [String] { try DirectoryListing.names(path).sorted() }

    static func linkTarget(_ path: String) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { readlink(path, $0, 4096) } ?? -1 }
        }
        guard count >= 0 else { throw failure("readlink", path) }
        return String(decoding: buffer[0..<count], as: UTF8.self)
    }

    /// Reads a whole file of at most `limit` bytes.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let bytes = try TextFile.bytes(path, limit: limit + 1)
        guard bytes.count <= limit else {
            throw SandboxError(.storeFailed, "A file of the data directory is larger than it may be.")
        }
        return bytes
    }
}

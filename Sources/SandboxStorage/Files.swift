internal import Glibc
internal import SandboxModel

/// A descriptor that closes itself.
struct OpenFile: ~Copyable {
    let descriptor: Int32

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws {
        descriptor = path.withCString { nightjarOpen($0, flags | O_CLOEXEC, mode) }
        guard descriptor >= 0 else { throw storageError("open", path) }
    }

    init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    consuming func release() -> Int32 {
        let descriptor = self.descriptor
        discard self
        return descriptor
    }
}

private func nightjarOpen(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32 {
    while true {
        let descriptor = open(path, flags, mode)
        if descriptor >= 0 || errno != EINTR { return descriptor }
    }
}

/// Plain file operations that block; every one throws ``SandboxError``.
enum Files {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func makeDirectory(_ path: String, mode: mode_t) throws {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw storageError("mkdir", path) }
        // The mode of mkdir is cut by the umask, and an existing directory may have another.
        guard chmod(path, mode) == 0 else { throw storageError("chmod", path) }
    }

    static func makeDirectories(_ path: String, mode: mode_t) throws {
        var partial = ""
        for part in path.split(separator: "/") {
            partial += "/" + part
            if !exists(partial) { try makeDirectory(partial, mode: mode) }
        }
        try makeDirectory(path, mode: mode)
    }

    static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw storageError("rename", from) }
    }

    /// Syncs a file's contents, or a directory's entries, to the device.
    static func sync(_ path: String, directory: Bool = false) throws {
        let file = try OpenFile(path, O_RDONLY | (directory ? O_DIRECTORY : 0))
        guard fsync(file.descriptor) == 0 else { throw storageError("fsync", path) }
    }

    /// Syncs everything of the file system that holds `path`.
    static func syncFileSystem(of path: String) throws {
        let file = try OpenFile(path, O_RDONLY | O_DIRECTORY)
        guard cSyncfs(file.descriptor) == 0 else { throw storageError("syncfs", path) }
    }

    static func size(_ path: String) throws -> Int64 {
        var info = stat()
        guard lstat(path, &info) == 0 else { throw storageError("stat", path) }
        return Int64(info.st_size)
    }

    static func freeSpace(_ path: String) throws -> Int64 {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { throw storageError("statvfs", path) }
        return Int64(info.f_bavail) * Int64(info.f_frsize)
    }

    static func entries(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw storageError("opendir", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: UInt8.self, capacity: 256) { String(decodingCString: $0, as: UTF8.self) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func linkTarget(_ path: String) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { readlink(path, $0, 4096) } ?? -1 }
        }
        guard count >= 0 else { throw storageError("readlink", path) }
        return String(decoding: buffer[0..<count], as: UTF8.self)
    }

    /// Reads a whole file of at most `limit` bytes.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let file = try OpenFile(path, O_RDONLY)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(file.descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw storageError("read", path) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[0..<count])
            guard bytes.count <= limit else {
                throw SandboxError(.storeFailed, "A file of the data directory is larger than it may be.")
            }
        }
    }

    /// Writes a new file and syncs it; the directory entry is for the caller to sync.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let file = try OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(file.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw storageError("write", path) }
            written += count
        }
        guard fchmod(file.descriptor, mode) == 0, fsync(file.descriptor) == 0 else { throw storageError("fsync", path) }
    }
}

/// glibc has it, but shows it to no module map.
@_silgen_name("syncfs")
private func cSyncfs(_ descriptor: Int32) -> Int32

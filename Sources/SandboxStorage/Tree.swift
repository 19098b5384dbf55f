internal import Glibc
internal import SandboxModel

/// Work on whole trees that a guest made: any names, any depth, whiteouts (devices), no symlink followed.
enum Tree {
    /// Directories nested deeper than this are moved up before they are removed, so that a guest's nest of a million
    /// directories costs neither stack nor descriptors.
    private static let maximumDepth = 64

    /// Removes the entries of `directory`, and what they hold; the directory stays.
    static func empty(_ directory: String) throws {
        let root = try OpenFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var serial = 0
        // What was moved up is found in the next pass.
        while try removeEntries(of: root.descriptor, root: root.descriptor, depth: 0, serial: &serial) {}
    }

    /// Removes a tree; nothing happens if it is not there.
    static func remove(_ path: String) throws {
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT { return }
            throw storageError("stat", path)
        }
        if info.st_mode & S_IFMT == S_IFDIR {
            try empty(path)
            guard rmdir(path) == 0 else { throw storageError("rmdir", path) }
        } else {
            guard unlink(path) == 0 else { throw storageError("unlink", path) }
        }
    }

    /// - Returns: Whether something was moved to the root instead of being removed.
    private static func removeEntries(of directory: Int32, root: Int32, depth: Int, serial: inout Int) throws -> Bool {
        var movedAny = false
        for name in try names(in: directory) {
            if unlinkat(directory, name, 0) == 0 { continue }
            guard errno == EISDIR || errno == EPERM || errno == ENOTEMPTY else {
                if errno == ENOENT { continue }
                throw storageError("unlink")
            }
            if depth >= maximumDepth {
                serial += 1
                guard renameat(directory, name, root, ".nightjar-deep-\(serial)-\(randomToken(8))") == 0 else {
                    throw storageError("rename")
                }
                movedAny = true
                continue
            }
            let descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { throw storageError("open") }
            let child = OpenFile(owning: descriptor)
            if try removeEntries(of: child.descriptor, root: root, depth: depth + 1, serial: &serial) { movedAny = true }
            guard unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw storageError("rmdir") }
        }
        return movedAny
    }

    /// Bytes allocated on the device below `path`. What vanishes meanwhile, or lies deeper than 64 levels, is not counted.
    static func allocatedBytes(_ path: String) -> Int64 {
        guard let root = try? OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { return 0 }
        return allocatedBytes(in: root.descriptor, depth: 0)
    }

    private static func allocatedBytes(in directory: Int32, depth: Int) -> Int64 {
        var total: Int64 = 0
        for name in (try? names(in: directory)) ?? [] {
            var info = stat()
            guard fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            total += Int64(info.st_blocks) * 512
            guard info.st_mode & S_IFMT == S_IFDIR, depth < maximumDepth else { continue }
            let descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            let child = OpenFile(owning: descriptor)
            total += allocatedBytes(in: child.descriptor, depth: depth + 1)
        }
        return total
    }

    /// Names as raw bytes with their NUL: a guest's need not be UTF-8.
    private static func names(in directory: Int32) throws -> [[CChar]] {
        let descriptor = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw storageError("open") }
        guard let stream = fdopendir(descriptor) else {
            close(descriptor)
            throw storageError("fdopendir")
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                Array(raw.bindMemory(to: CChar.self).prefix { $0 != 0 })
            }
            if name == [0x2E] || name == [0x2E, 0x2E] { continue }
            names.append(name + [0])
        }
        return names
    }
}

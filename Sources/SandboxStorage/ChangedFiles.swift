internal import Glibc
internal import LinuxSystem

/// Makes what changed in a sandbox's writable layer durable.
///
/// One `syncfs` would do, but it waits for what everybody else has written to the device: seconds on a busy host, while
/// the sandbox is paused. So the files that changed since the last time are found by their change times and synced one by
/// one; only when they are many is the whole file system synced. The kernel's own clock stamps both the files and the
/// mark that they are compared to. A file that is written through a mapping has its time changed by the first write after
/// each sync, so none is missed.
struct ChangedFiles {
    /// From so many on, `syncfs` is faster.
    static let limit = 256
    private static let maximumDepth = 64

    private let mark: timespec?
    private var count = 0

    /// - Parameters:
    ///   - directory: The layer.
    ///   - markPath: A file beside it, whose change time says when it was last synced.
    static func sync(_ directory: String, mark markPath: String) throws {
        var former = stat()
        let hasMark = lstat(markPath, &former) == 0
        // The new mark is made before the walk: what changes meanwhile is newer.
        let fresh = markPath + ".new"
        try DurableFile.replace(fresh, with: [], durable: false)
        var changed = ChangedFiles(mark: hasMark ? former.st_ctim : nil)
        let root = try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        if try !changed.walk(root, depth: 0) { try DurableFile.syncFileSystem(of: directory) }
        try Files.rename(fresh, to: markPath)
    }

    private init(mark: timespec?) { self.mark = mark }

    /// - Returns: `false` if there are too many, or they are nested too deep.
    private mutating func walk(_ directory: FileDescriptor, depth: Int) throws -> Bool {
        guard depth <= Self.maximumDepth else { return false }
        // Raw names with their NUL: a guest's need not be UTF-8. They are not gathered: a guest's may be millions.
        let copy = openat(directory.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw Files.failure("open", "") }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                Array(raw.bindMemory(to: CChar.self).prefix { $0 != 0 }) + [0]
            }
            if name == [0x2E, 0] || name == [0x2E, 0x2E, 0] { continue }
            guard try visit(name, in: directory, depth: depth) else { return false }
        }
        // Links and devices have no contents: they are durable with their directory.
        var info = stat()
        guard fstat(directory.raw, &info) == 0 else { throw Files.failure("stat", "") }
        return isChanged(info) ? try sync(directory) : true
    }

    private mutating func visit(_ name: [CChar], in directory: FileDescriptor, depth: Int) throws -> Bool {
        var info = stat()
        guard fstatat(directory.raw, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { return true }
        let kind = info.st_mode & S_IFMT
        if kind == S_IFDIR {
            guard let child = open(name, in: directory, O_DIRECTORY) else { return false }
            return try walk(child, depth: depth + 1)
        }
        guard kind == S_IFREG, isChanged(info) else { return true }
        guard let file = open(name, in: directory, 0) else { return false }
        return try sync(file)
    }

    private mutating func sync(_ file: FileDescriptor) throws -> Bool {
        count += 1
        guard count <= Self.limit else { return false }
        guard fsync(file.raw) == 0 else { throw Files.failure("fsync", "") }
        return true
    }

    private func isChanged(_ info: stat) -> Bool {
        guard let mark else { return true }
        // The kernel's clock for files is coarse: equal may be before or after.
        return (info.st_ctim.tv_sec, info.st_ctim.tv_nsec) >= (mark.tv_sec, mark.tv_nsec)
    }

    private func open(_ name: [CChar], in directory: FileDescriptor, _ flags: Int32) -> FileDescriptor? {
        let found = openat(directory.raw, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags)
        return found >= 0 ? FileDescriptor(owning: found) : nil
    }
}

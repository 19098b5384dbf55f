internal import CLinux
internal import Glibc

/// Files that must be whole after a crash of the machine.
public enum DurableFile {
    /// Replaces a file's contents in one step: afterwards it holds the old or the new ones, never a mixture.
    ///
    /// - Parameter durable: Whether the new contents are on the device when this returns (and not just visible).
    public static func replace(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool = true
    ) throws(SystemError) {
        let temporary = path + ".new"
        unlink(temporary)
        let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
        do throws(SystemError) {
            try file.writeAll(bytes, temporary)
            if durable, fsync(file.raw) != 0 { throw SystemError.last("fsync", temporary) }
            guard rename(temporary, path) == 0 else { throw SystemError.last("rename", path) }
        } catch {
            unlink(temporary)
            throw error
        }
        if durable { try sync(parent(of: path)) }
    }

    /// Makes what is in a file, or which names are in a directory, durable.
    public static func sync(_ path: String) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard fsync(file.raw) == 0 else { throw SystemError.last("fsync", path) }
    }

    /// Makes everything durable that is on the file system of `path`. For a whole tree this is faster than a sync of
    /// each file, and it needs nobody to walk what a guest made.
    public static func syncFileSystem(of path: String) throws(SystemError) {
        try syncFileSystem(of: FileDescriptor.open(path, O_RDONLY | O_DIRECTORY))
    }

    /// The same for the file system that an open file or directory is on. What could not be written since it was opened
    /// is an error.
    public static func syncFileSystem(of file: FileDescriptor) throws(SystemError) {
        let error = nj_sync_file_system(file.raw)
        guard error == 0 else { throw SystemError(error, "syncfs") }
    }

    /// Makes every regular file and directory of a tree durable, the root last. Follows no links. For trees of this
    /// host's own making, with few files.
    public static func syncTree(_ path: String) throws(SystemError) {
        let directory = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        for entry in try DirectoryListing.entries(directory) {
            let child = path + "/" + String(decoding: entry.name, as: UTF8.self)
            var status = stat()
            guard lstat(child, &status) == 0 else { throw SystemError.last("stat", child) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try syncTree(child)
            case S_IFREG: try sync(child)
            default: break
            }
        }
        guard fsync(directory.raw) == 0 else { throw SystemError.last("fsync", path) }
    }

    /// Moves a file or directory within a file system and makes the move durable.
    public static func move(_ from: String, to target: String) throws(SystemError) {
        guard rename(from, target) == 0 else { throw SystemError.last("rename", target) }
        try sync(parent(of: target))
        if parent(of: from) != parent(of: target) { try sync(parent(of: from)) }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// A lock that one process at a time holds on a directory; the kernel gives it back when the process dies.
public final class DirectoryLock: Sendable {
    private let file: FileDescriptor

    /// Takes the lock.
    ///
    /// - Returns: `nil` if another process (or object) holds it.
    public init?(_ directory: String) throws(SystemError) {
        file = try FileDescriptor.open(directory + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw SystemError.last("flock", directory) }
            return nil
        }
    }

    deinit { release() }

    /// Gives the lock back before this object goes.
    public func release() {
        // A child that is just being started may still have a copy of the descriptor, and closing ours would not be
        // enough.
        let descriptor = file.take()
        guard descriptor >= 0 else { return }
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}

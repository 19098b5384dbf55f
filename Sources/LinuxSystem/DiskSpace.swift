internal import CLinux
internal import Glibc

/// What files occupy, and what is left.
public enum DiskSpace {
    /// Bytes that root can still write on the file system of `path`.
    public static func free(_ path: String) throws(SystemError) -> UInt64 {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw SystemError.last("statvfs", path) }
        return UInt64(status.f_bfree) * UInt64(status.f_frsize)
    }

    /// Bytes that a tree occupies on disk; a file with several names counts once. Follows no links. What disappears
    /// meanwhile is not counted. It needs no more memory for many files. It blocks: run it in a ``BlockingPool``.
    public static func used(_ path: String) throws(SystemError) -> UInt64 {
        var usage = Usage()
        var status = stat()
        guard lstat(path, &status) == 0 else { return 0 }
        usage.count(status)
        guard status.st_mode & S_IFMT == S_IFDIR else { return usage.total }
        usage.pending = [try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)]
        while let next = usage.pending.popLast() { try usage.add(next, depth: 0) }
        return usage.total
    }

    private struct Usage {
        /// Descriptors that are open for one branch, at most; deeper directories take their turn later.
        private static let depthLimit = 200
        /// Files with several names that are told from others; beyond, each name counts.
        private static let seenLimit = 1 << 20

        var total: UInt64 = 0
        var pending: [FileDescriptor] = []
        private var seen: Set<UInt64> = []

        mutating func count(_ status: stat) {
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            if !isDirectory, status.st_nlink > 1, seen.count < Usage.seenLimit {
                guard seen.insert(UInt64(status.st_ino)).inserted else { return }
            }
            total += UInt64(status.st_blocks) * 512
        }

        mutating func add(_ directory: FileDescriptor, depth: Int) throws(SystemError) {
            try DirectoryListing.forEach(directory) { (entry) throws(SystemError) in
                let name = entry.name.map { CChar(bitPattern: $0) } + [0]
                var status = stat()
                guard fstatat(directory.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return true }
                count(status)
                guard status.st_mode & S_IFMT == S_IFDIR else { return true }
                let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
                let opened = openat(directory.raw, name, flags)
                guard opened >= 0 else { return true }
                let inner = FileDescriptor(owning: opened)
                if depth < Usage.depthLimit { try add(inner, depth: depth + 1) } else { pending.append(inner) }
                return true
            }
        }
    }
}

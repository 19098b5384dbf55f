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
    /// meanwhile is not counted. It blocks: run it in a ``BlockingPool``.
    public static func used(_ path: String) throws(SystemError) -> UInt64 {
        var seen: Set<[UInt64]> = []
        var total: UInt64 = 0
        var pending = [path]
        while let next = pending.popLast() {
            var status = stat()
            guard lstat(next, &status) == 0 else { continue }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            let isNew =
                isDirectory || status.st_nlink < 2
                || seen.insert([UInt64(status.st_dev), UInt64(status.st_ino)]).inserted
            if isNew { total += UInt64(status.st_blocks) * 512 }
            guard isDirectory else { continue }
            do {
                pending += try DirectoryListing.names(next).map { next + "/" + $0 }
            } catch {
                // Names too long for one path are left out of the sum.
                guard error.isNotFound || error.code == ENAMETOOLONG || error.code == ELOOP else { throw error }
            }
        }
        return total
    }
}

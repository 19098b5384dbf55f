internal import CLinux
internal import Glibc
internal import Wire

/// `stat` in the words of the wire.
extension stat {
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
    var isSymlink: Bool { st_mode & S_IFMT == S_IFLNK }

    func isSame(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }

    /// `nil` with errno set if there is no such file.
    static func of(_ path: [UInt8], in directory: Int32 = AT_FDCWD, follow: Bool) -> stat? {
        var status = stat()
        let flags = follow ? 0 : AT_SYMLINK_NOFOLLOW
        return path.withCPath { fstatat(directory, $0, &status, flags) } == 0 ? status : nil
    }

    static func of(_ descriptor: Int32) -> stat? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? status : nil
    }

    func info(path: [UInt8], target: [UInt8] = []) -> FileInfo {
        let kind: FileInfo.Kind =
            isRegular ? .file : isDirectory ? .directory : isSymlink ? .symlink : .other
        var copy = self
        return FileInfo(
            path: path, kind: kind, size: Int64(st_size), mode: st_mode & 0o7777, uid: st_uid, gid: st_gid,
            modifiedUnixNanoseconds: nj_modified_nanoseconds(&copy), target: target)
    }
}

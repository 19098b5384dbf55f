internal import CLinux
internal import Glibc
internal import Wire

/// File work on single paths. Everything here may block and runs on a worker thread.
enum FileOperations {
    /// Who owns what is created.
    struct Owner: Sendable {
        var uid: UInt32
        var gid: UInt32
    }

    static func status(_ path: [UInt8], follow: Bool) throws(WireStatus) -> FileInfo {
        guard let status = stat.of(path, follow: follow) else {
            throw SystemError.status(errno, "Cannot look at", path)
        }
        let target = status.isSymlink ? SmallFile.link(AT_FDCWD, path) ?? [] : []
        return status.info(path: path, target: target)
    }

    static func makeDirectory(_ path: [UInt8], parents: Bool, mode: UInt32, owner: Owner) throws(WireStatus) {
        if parents { try makeParents(of: path, owner: owner) }
        if path.withCPath({ mkdir($0, mode & 0o7777) }) == 0 {
            _ = path.withCPath { chmod($0, mode & 0o7777) }
            return try own(path, owner)
        }
        let error = errno
        if error == EEXIST, parents, stat.of(path, follow: true)?.isDirectory == true { return }
        throw SystemError.status(error, "Cannot make the directory", path)
    }

    /// Makes the directories above `path` that are missing.
    static func makeParents(of path: [UInt8], owner: Owner) throws(WireStatus) {
        let parent = Path.parent(path)
        if let status = stat.of(parent, follow: true) {
            guard status.isDirectory else {
                throw WireStatus(.notDirectory, "\(Path.display(parent)) is not a directory", errno: ENOTDIR)
            }
            return
        }
        guard errno == ENOENT, parent.count > 1 else {
            throw SystemError.status(errno, "Cannot look at", parent)
        }
        try makeParents(of: parent, owner: owner)
        if parent.withCPath({ mkdir($0, 0o755) }) == 0 { return try own(parent, owner) }
        if errno != EEXIST { throw SystemError.status(errno, "Cannot make the directory", parent) }
    }

    private static func own(_ path: [UInt8], _ owner: Owner) throws(WireStatus) {
        guard owner.uid != 0 || owner.gid != 0 else { return }
        guard path.withCPath({ lchown($0, owner.uid, owner.gid) }) == 0 else {
            throw SystemError.status(errno, "Cannot change the owner of", path)
        }
    }

    static func move(_ from: [UInt8], to: [UInt8], overwrite: Bool) throws(WireStatus) {
        guard from.count > 1, to.count > 1 else { throw WireStatus(.invalid, "The root directory cannot be moved") }
        var error = from.withCPath { from in
            to.withCPath { to in
                overwrite ? (rename(from, to) == 0 ? 0 : errno) : nj_rename_exclusive(from, to)
            }
        }
        if error == EXDEV { error = try moveAcross(from, to: to, overwrite: overwrite) }
        guard error == 0 else {
            let isMissing = error == ENOENT && stat.of(from, follow: false) != nil
            let object = isMissing ? Path.parent(to) : error == EEXIST || error == ENOTEMPTY ? to : from
            throw SystemError.status(error, "Cannot move \(Path.display(from)) to \(Path.display(to)):", object)
        }
    }

    /// Between two file systems a file is copied, then removed.
    private static func moveAcross(_ from: [UInt8], to: [UInt8], overwrite: Bool) throws(WireStatus) -> Int32 {
        guard let status = stat.of(from, follow: false) else { return errno }
        guard status.isRegular else {
            throw WireStatus(
                .unsupported, "\(Path.display(from)) lies on another file system; only files move there", errno: EXDEV)
        }
        if !overwrite, stat.of(to, follow: false) != nil { return EEXIST }
        let source = from.withCPath { nj_openat(AT_FDCWD, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0) }
        guard source >= 0 else { return errno }
        let input = Descriptor(source)
        var write = FileWrite(path: to)
        write.mode = status.st_mode & 0o7777
        write.createParents = false
        let target = WriteTarget(write, owner: Owner(uid: status.st_uid, gid: status.st_gid), keepsExisting: false)
        do throws(WireStatus) {
            while true {
                guard let bytes = SmallFile.contents(of: input.value, maximum: 1 << 20) else {
                    throw SystemError.status(errno, "Cannot read", from)
                }
                if bytes.isEmpty { break }
                try target.write(bytes)
            }
            _ = try target.finish()
        } catch {
            target.abort()
            throw error
        }
        return from.withCPath { unlink($0) } == 0 ? 0 : errno
    }

    static func symlink(target: [UInt8], path: [UInt8], owner: Owner) throws(WireStatus) {
        guard !target.isEmpty, !target.contains(0), target.count < Path.maximumLength else {
            throw WireStatus(.invalid, "The link's target is empty, too long, or contains a NUL byte")
        }
        let made = target.withCPath { target in path.withCPath { Glibc.symlink(target, $0) } }
        guard made == 0 else { throw SystemError.status(errno, "Cannot make the link", path) }
        try own(path, owner)
    }
}

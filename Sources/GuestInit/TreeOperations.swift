internal import CLinux
internal import Glibc
internal import Synchronization
internal import Wire

/// Tells work on a thread that nobody waits for it any more.
final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    func cancel() { flag.store(true, ordering: .relaxed) }
    func check() throws(WireStatus) {
        if flag.load(ordering: .relaxed) { throw WireStatus(.cancelled, "The request was cancelled") }
    }
}

/// Removal and changes of whole trees. Runs on a worker thread.
enum TreeOperations {
    static func remove(_ path: [UInt8], recursive: Bool, _ cancellation: Cancellation) throws(WireStatus) {
        guard let status = stat.of(path, follow: false) else { throw SystemError.status(errno, "Cannot remove", path) }
        guard let root = stat.of([Path.slash], follow: true), !status.isSame(as: root) else {
            throw WireStatus(.invalid, "The root directory cannot be removed")
        }
        if status.isDirectory, recursive { try removeContents(path, cancellation) }
        guard path.withCPath({ status.isDirectory ? rmdir($0) : unlink($0) }) == 0 else {
            throw SystemError.status(errno, "Cannot remove", path)
        }
    }

    private static func removeContents(_ path: [UInt8], _ cancellation: Cancellation) throws(WireStatus) {
        let walk = try TreeWalk(path, followRoot: false)
        while let visit = try walk.next() {
            try cancellation.check()
            if visit.status.isDirectory, !visit.isLeaving { continue }
            let flags = visit.isLeaving ? AT_REMOVEDIR : 0
            guard visit.name.withCPath({ unlinkat(visit.directory, $0, flags) }) == 0 || errno == ENOENT else {
                throw SystemError.status(errno, "Cannot remove", Path.join(path, visit.path))
            }
        }
    }

    static func changeMode(
        _ path: [UInt8], mode: UInt32, recursive: Bool, _ cancellation: Cancellation
    ) throws(WireStatus) {
        let mode = mode & 0o7777
        try recursively(path, recursive, cancellation) { directory, name, isSymlink in
            isSymlink || fchmodat(directory, name, mode, 0) == 0
        }
        guard path.withCPath({ chmod($0, mode) }) == 0 else {
            throw SystemError.status(errno, "Cannot change the mode of", path)
        }
    }

    /// A group of `UInt32.max` stays as it is.
    static func changeOwner(
        _ path: [UInt8], uid: UInt32, gid: UInt32, recursive: Bool, _ cancellation: Cancellation
    ) throws(WireStatus) {
        try recursively(path, recursive, cancellation) { directory, name, _ in
            fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW) == 0
        }
        guard path.withCPath({ chown($0, uid, gid) }) == 0 else {
            throw SystemError.status(errno, "Cannot change the owner of", path)
        }
    }

    /// Changes the contents first, so that a mode which locks a directory comes after what is in it.
    private static func recursively(
        _ path: [UInt8], _ recursive: Bool, _ cancellation: Cancellation,
        _ change: (Int32, UnsafePointer<CChar>, Bool) -> Bool
    ) throws(WireStatus) {
        guard let status = stat.of(path, follow: true) else { throw SystemError.status(errno, "Cannot look at", path) }
        guard recursive, status.isDirectory else { return }
        let walk = try TreeWalk(path, followRoot: true)
        while let visit = try walk.next() {
            try cancellation.check()
            if visit.status.isDirectory, !visit.isLeaving { continue }
            let done = visit.name.withCPath { change(visit.directory, $0, visit.status.isSymlink) }
            guard done || errno == ENOENT else {
                throw SystemError.status(errno, "Cannot change", Path.join(path, visit.path))
            }
        }
    }
}

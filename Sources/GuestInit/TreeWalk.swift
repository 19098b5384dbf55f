internal import CLinux
internal import Glibc
internal import Wire

/// Visits everything below a directory, sorted by name, without following symbolic links. Holds one descriptor however
/// deep the tree is, and finds its way back by `..`, which it verifies. Used by one thread at a time.
final class TreeWalk {
    struct Visit {
        /// The open parent directory, valid until the next step.
        var directory: Int32
        var name: [UInt8]
        /// Relative to the root of the walk.
        var path: [UInt8]
        var status: stat
        /// 1 for what lies directly in the root of the walk.
        var depth: Int
        /// A directory whose contents have all been visited.
        var isLeaving: Bool
    }

    private struct Level {
        var name: [UInt8]
        var path: [UInt8]
        /// Of the directory itself.
        var status: stat
        /// Still to visit, the next one last.
        var names: [[UInt8]]
    }

    private var current: Descriptor
    private var levels: [Level] = []
    private var descent: Visit?
    private let root: [UInt8]

    /// Opens the directory; a symbolic link to one is followed if `followRoot`.
    init(_ root: [UInt8], followRoot: Bool) throws(WireStatus) {
        self.root = root
        let flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | (followRoot ? 0 : O_NOFOLLOW)
        let opened = root.withCPath { nj_openat(AT_FDCWD, $0, flags, 0) }
        guard opened >= 0 else { throw SystemError.status(errno, "Cannot open the directory", root) }
        current = Descriptor(opened)
        guard let status = stat.of(opened) else { throw SystemError.status(errno, "Cannot look at", root) }
        levels = [Level(name: [], path: [], status: status, names: try names())]
    }

    /// Does not go into the directory that was visited last.
    func skip() { descent = nil }

    /// The next visit; `nil` at the end.
    func next() throws(WireStatus) -> Visit? {
        if let visit = descent {
            descent = nil
            try enter(visit)
        }
        while let level = levels.last {
            guard let name = levels[levels.count - 1].names.popLast() else {
                guard levels.count > 1 else { return nil }
                levels.removeLast()
                try leave()
                return Visit(
                    directory: current.value, name: level.name, path: level.path, status: level.status,
                    depth: levels.count, isLeaving: true)
            }
            // What vanished meanwhile is not there to visit.
            guard let status = stat.of(name, in: current.value, follow: false) else { continue }
            let visit = Visit(
                directory: current.value, name: name, path: Path.join(level.path, name), status: status,
                depth: levels.count, isLeaving: false)
            if status.isDirectory { descent = visit }
            return visit
        }
        return nil
    }

    private func enter(_ visit: Visit) throws(WireStatus) {
        let opened = visit.name.withCPath {
            nj_openat(visit.directory, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0)
        }
        guard opened >= 0 else {
            if errno == ENOENT || errno == ENOTDIR || errno == ELOOP { return }
            throw SystemError.status(errno, "Cannot open the directory", Path.join(root, visit.path))
        }
        let parent = current
        current = Descriptor(opened)
        guard let status = stat.of(opened), status.isSame(as: visit.status) else {
            current = parent
            return
        }
        levels.append(Level(name: visit.name, path: visit.path, status: status, names: try names()))
    }

    private func leave() throws(WireStatus) {
        let opened = nj_openat(current.value, "..", O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0)
        guard opened >= 0 else { throw SystemError.status(errno, "Cannot return to a parent directory in", root) }
        current = Descriptor(opened)
        guard let status = stat.of(opened), let expected = levels.last?.status, status.isSame(as: expected) else {
            throw WireStatus(.failed, "A directory in \(Path.display(root)) was moved while it was being visited")
        }
    }

    private func names() throws(WireStatus) -> [[UInt8]] {
        guard let names = SmallFile.names(takingOver: fcntl(current.value, F_DUPFD_CLOEXEC, 3)) else {
            throw SystemError.status(errno, "Cannot read the directory", root)
        }
        return names.sorted { $1.lexicographicallyPrecedes($0) }
    }
}

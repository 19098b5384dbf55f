internal import CLinux
internal import Glibc

/// Removal of trees that a guest may have made: of any depth, without permissions, immutable, with any names.
public enum TreeRemoval {
    /// Descriptors that are open at once, at most; deeper levels are moved up to the top first.
    private static let depthLimit = 64
    /// Entries of a directory that are held at once.
    private static let batch = 4096

    /// Removes a directory with all that is in it, or a file. It never follows a link and never leaves the tree, even
    /// if somebody changes it meanwhile. Something that is not there is fine.
    ///
    /// It blocks: run it in a ``BlockingPool``.
    public static func remove(_ path: String) throws(SystemError) {
        let (parent, name) = split(path)
        let directory: FileDescriptor
        do {
            directory = try FileDescriptor.open(parent, O_RDONLY | O_DIRECTORY)
        } catch {
            if error.isNotFound { return }
            throw error
        }
        try remove(Array(name.utf8), in: directory, top: nil, depth: 0)
    }

    /// Empties a directory and leaves it there.
    public static func empty(_ path: String) throws(SystemError) {
        let directory = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        try removeContents(of: directory, top: directory, depth: 1)
    }

    private static func remove(
        _ name: [UInt8], in directory: FileDescriptor, top: FileDescriptor?, depth: Int
    ) throws(SystemError) {
        if unlink(name, in: directory, flags: 0) == nil { return }
        guard let inner = try open(name, in: directory) else { return }
        if let top, depth >= depthLimit {
            // Too deep to go on with a descriptor per level: its turn comes at the top.
            try moveUp(name, from: directory, to: top)
            return
        }
        try removeContents(of: inner, top: top ?? inner, depth: depth + 1)
        if let error = unlink(name, in: directory, flags: AT_REMOVEDIR) { throw error }
    }

    private static func removeContents(
        of directory: FileDescriptor, top: FileDescriptor, depth: Int
    ) throws(SystemError) {
        while true {
            let entries = try DirectoryListing.entries(directory, limit: batch)
            if entries.isEmpty { return }
            for entry in entries { try remove(entry.name, in: directory, top: top, depth: depth) }
            // What was moved up to here in the meantime needs another look; elsewhere one pass is all.
            if directory !== top, entries.count < batch { return }
        }
    }

    /// - Returns: `nil` if nothing is there.
    private static func open(_ name: [UInt8], in directory: FileDescriptor) throws(SystemError) -> FileDescriptor? {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK
        let found = withCString(name) { nj_open_at(directory.raw, $0, flags, 0) }
        if found == -ENOENT { return nil }
        guard found >= 0 else { throw SystemError(-found, "open", String(decoding: name, as: UTF8.self)) }
        return FileDescriptor(owning: found)
    }

    private static func moveUp(
        _ name: [UInt8], from directory: FileDescriptor, to top: FileDescriptor
    ) throws(SystemError) {
        var status = stat()
        guard withCString(name, { fstatat(directory.raw, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else { return }
        let target = Array(".nightjar-\(status.st_ino)".utf8)
        func attempt() -> Int32 {
            withCString(name) { from in
                withCString(target) { renameat(directory.raw, from, top.raw, $0) == 0 ? 0 : errno }
            }
        }
        var error = attempt()
        if error == EPERM {
            _ = nj_clear_file_flags(directory.raw)
            try open(name, in: directory).map { _ = nj_clear_file_flags($0.raw) }
            error = attempt()
        }
        if error != 0 { throw SystemError(error, "rename") }
    }

    /// - Returns: Why not, or `nil`.
    private static func unlink(_ name: [UInt8], in directory: FileDescriptor, flags: Int32) -> SystemError? {
        func attempt() -> Int32 { withCString(name) { unlinkat(directory.raw, $0, flags) } == 0 ? 0 : errno }
        var error = attempt()
        if error == EPERM {
            // Immutable or append-only, it or its directory; or it is a directory, then there is nothing to mend.
            _ = nj_clear_file_flags(directory.raw)
            let file = withCString(name) { nj_open_at(directory.raw, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0) }
            if file >= 0 {
                _ = nj_clear_file_flags(file)
                close(file)
            }
            error = attempt()
        }
        if error == 0 || error == ENOENT { return nil }
        return SystemError(error, "unlink", String(decoding: name, as: UTF8.self))
    }

    private static func withCString<R>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
        (name + [0]).withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { chars in
                // The array is never empty.
                chars.baseAddress.map(body) ?? "".withCString(body)
            }
        }
    }

    private static func split(_ path: String) -> (parent: String, name: String) {
        var path = path[...]
        while path.count > 1, path.last == "/" { path = path.dropLast() }
        guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        return (parent, String(path[path.index(after: slash)...]))
    }
}

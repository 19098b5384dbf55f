internal import Glibc
internal import SandboxModel

/// A directory of this machine into which a sandbox's files are written.
///
/// The sandbox may lie about its files. So nothing outside the directory is ever opened: every step is made from an
/// open directory, symlinks are created but never followed, names are checked, and a file comes to be by renaming.
/// Files lose their set-user-ID, set-group-ID and sticky bits, which would act on this machine.
final class LocalDestination {
    private let root: Int32
    private let path: [UInt8]
    /// Modes that are set at the end, because a directory may have to be writable until then.
    private var directoryModes: [(relative: [UInt8], mode: UInt32)] = []

    /// Opens the directory `path`, and makes it if it is not there.
    init(path: [UInt8], mode: UInt32 = 0o755) throws {
        let name = LocalSource.cString(path)
        if mkdir(name, (mode & 0o777) | 0o700) != 0, errno != EEXIST { throw LocalError.current(path) }
        root = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw LocalError.current(path) }
        self.path = path
    }

    deinit { close(root) }

    func makeDirectory(_ relative: [UInt8], mode: UInt32) throws {
        try withParent(of: relative) { parent, name in
            if mkdirat(parent, name, 0o700) != 0, errno != EEXIST { throw failure(relative) }
            // What is there already must be a directory itself, not a symlink to one.
            let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure(relative) }
            close(descriptor)
        }
        directoryModes.append((relative, mode & 0o777))
    }

    /// Opens a new file next to its place; ``PendingFile/commit()`` puts it there.
    func makeFile(_ relative: [UInt8], mode: UInt32) throws -> PendingFile {
        try withParent(of: relative) { parent, name in
            let temporary = ".nightjar-" + randomToken(12)
            let descriptor = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw failure(relative) }
            return PendingFile(
                descriptor: descriptor, parent: dup(parent), temporary: temporary, name: name, mode: mode & 0o777,
                label: LocalSource.joined(path, relative))
        }
    }

    func makeSymlink(_ relative: [UInt8], to target: [UInt8]) throws {
        guard !target.isEmpty, !target.contains(0) else { throw refused(relative, "its target is not valid") }
        try withParent(of: relative) { parent, name in
            if symlinkat(LocalSource.cString(target), parent, name) == 0 { return }
            guard errno == EEXIST, unlinkat(parent, name, 0) == 0,
                symlinkat(LocalSource.cString(target), parent, name) == 0
            else { throw failure(relative) }
        }
    }

    /// Gives the directories their modes, the deepest first.
    func finish() throws {
        for (relative, mode) in directoryModes.reversed() {
            try withParent(of: relative) { parent, name in
                let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard descriptor >= 0 else { throw failure(relative) }
                defer { close(descriptor) }
                guard fchmod(descriptor, mode) == 0 else { throw failure(relative) }
            }
        }
    }

    /// Walks to the parent directory, one real directory after the other.
    private func withParent<R>(of relative: [UInt8], _ body: (Int32, [CChar]) throws -> R) throws -> R {
        let names = relative.split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init)
        for name in names where name.isEmpty || name == [0x2E] || name == [0x2E, 0x2E] || name.contains(0) {
            throw refused(relative, "its path is not valid")
        }
        guard let last = names.last else { throw refused(relative, "its path is not valid") }
        var current = dup(root)
        defer { close(current) }
        for name in names.dropLast() {
            let next = openat(current, LocalSource.cString(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard next >= 0 else { throw failure(relative) }
            close(current)
            current = next
        }
        return try body(current, LocalSource.cString(last))
    }

    private func failure(_ relative: [UInt8]) -> SandboxError {
        if errno == ELOOP || errno == ENOTDIR {
            return refused(relative, "a symlink or file stands where a directory must be")
        }
        return LocalError.current(LocalSource.joined(path, relative))
    }

    private func refused(_ relative: [UInt8], _ reason: String) -> SandboxError {
        let name = Human.plain(String(decoding: relative, as: UTF8.self), width: 120)
        return SandboxError(.invalidPath, "The sandbox's file '\(name)' is not written here: \(reason).")
    }
}

/// A file that is being written and not yet in its place.
final class PendingFile {
    private let descriptor: Int32
    private let parent: Int32
    private let temporary: String
    private let name: [CChar]
    private let mode: UInt32
    private let label: [UInt8]
    private var isCommitted = false
    private(set) lazy var writer = DescriptorWriter(descriptor)

    init(descriptor: Int32, parent: Int32, temporary: String, name: [CChar], mode: UInt32, label: [UInt8]) {
        self.descriptor = descriptor
        self.parent = parent
        self.temporary = temporary
        self.name = name
        self.mode = mode
        self.label = label
    }

    deinit {
        if !isCommitted { unlinkat(parent, temporary, 0) }
        close(descriptor)
        close(parent)
    }

    /// Replaces what is in its place, unless that is a directory.
    func commit() throws {
        guard fchmod(descriptor, mode) == 0, renameat(parent, temporary, parent, name) == 0 else {
            throw LocalError.current(label)
        }
        isCommitted = true
    }
}

internal import Glibc
internal import SandboxModel

/// Errors of this machine's files.
enum LocalError {
    static func current(_ path: [UInt8]) -> SandboxError {
        let reason = String(cString: strerror(errno))
        let code: SandboxError.Code =
            switch errno {
            case ENOENT: .fileNotFound
            case EACCES, EPERM: .permissionDenied
            case ENOTDIR: .notADirectory
            case EISDIR: .isADirectory
            case EEXIST: .fileExists
            case ENOSPC: .noSpace
            default: .internalError
            }
        return SandboxError(code, "\(String(decoding: path, as: UTF8.self)) (here): \(reason).")
    }
}

/// A file of this machine that is to be copied into a sandbox.
struct LocalEntry: Sendable {
    enum Kind: Sendable {
        case directory, file
        case symlink(target: [UInt8])
        case other
    }
    /// As given by the user, and below it; can be opened.
    var path: [UInt8]
    /// Below the directory that is copied; empty for that itself.
    var relative: [UInt8]
    var kind: Kind
    var mode: UInt32
    var size: Int64
}

enum LocalSource {
    /// The entry itself; a symlink is followed (the user named it).
    static func entry(_ path: [UInt8]) throws -> LocalEntry {
        var info = stat()
        guard stat(cString(path), &info) == 0 else { throw LocalError.current(path) }
        return describe(path, relative: [], info)
    }

    /// Everything below a directory, directories before what is in them. Symlinks are not followed.
    static func tree(_ root: [UInt8]) throws -> [LocalEntry] {
        var result: [LocalEntry] = []
        var pending: [(path: [UInt8], relative: [UInt8])] = [(root, [])]
        while let next = pending.popLast() {
            for name in try names(next.path) {
                let path = joined(next.path, name)
                let relative = next.relative.isEmpty ? name : joined(next.relative, name)
                var info = stat()
                guard lstat(cString(path), &info) == 0 else { throw LocalError.current(path) }
                let entry = describe(path, relative: relative, info)
                result.append(entry)
                if case .directory = entry.kind { pending.append((path, relative)) }
            }
        }
        return result
    }

    private static func describe(_ path: [UInt8], relative: [UInt8], _ info: stat) -> LocalEntry {
        let kind: LocalEntry.Kind =
            switch info.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFREG: .file
            case S_IFLNK: readTarget(path).map { LocalEntry.Kind.symlink(target: $0) } ?? .other
            default: .other
            }
        return LocalEntry(
            path: path, relative: relative, kind: kind, mode: info.st_mode & 0o7777, size: Int64(info.st_size))
    }

    private static func readTarget(_ path: [UInt8]) -> [UInt8]? {
        var buffer = [CChar](repeating: 0, count: 4097)
        let count = readlink(cString(path), &buffer, 4096)
        return count > 0 ? buffer[..<count].map { UInt8(bitPattern: $0) } : nil
    }

    private static func names(_ path: [UInt8]) throws -> [[UInt8]] {
        guard let directory = opendir(cString(path)) else { throw LocalError.current(path) }
        defer { closedir(directory) }
        var names: [[UInt8]] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    static func joined(_ directory: [UInt8], _ name: [UInt8]) -> [UInt8] {
        directory.last == 0x2F ? directory + name : directory + [0x2F] + name
    }

    static func cString(_ path: [UInt8]) -> [CChar] { path.map { CChar(bitPattern: $0) } + [0] }
}

/// The content of a file of this machine, or of standard input, in pieces.
struct LocalContent: AsyncSequence, Sendable {
    typealias Element = [UInt8]

    let reader: DescriptorReader
    let progress: Progress

    struct AsyncIterator: AsyncIteratorProtocol {
        let content: LocalContent
        mutating func next() async throws -> [UInt8]? {
            guard let bytes = try await content.reader.read(upTo: 256 * 1024) else { return nil }
            content.progress.add(bytes.count)
            return bytes
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(content: self) }
}

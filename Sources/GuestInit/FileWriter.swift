internal import CLinux
internal import Glibc
internal import Wire

/// The file that is being written. Used by one worker thread at a time.
final class WriteTarget: @unchecked Sendable {
    // Unchecked: `FileWriter` gives it to the next job only after the last one has finished.
    private static let maximumLinks = 40

    private let request: FileWrite
    private let owner: FileOperations.Owner
    private let keepsExisting: Bool
    private var path: [UInt8] = []
    private var temporary: [UInt8]?
    private var descriptor: Descriptor?
    private var position: Int64 = 0

    /// If `keepsExisting`, a file that is replaced leaves its mode and owner to the new one.
    init(_ request: FileWrite, owner: FileOperations.Owner, keepsExisting: Bool = true) {
        self.request = request
        self.owner = owner
        self.keepsExisting = keepsExisting
    }

    func write(_ bytes: [UInt8]) throws(WireStatus) {
        let descriptor = try opened()
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                retrying {
                    pwrite(
                        descriptor.value, bytes.baseAddress.map { $0 + written }, bytes.count - written,
                        off_t(position))
                }
            }
            guard count > 0 else { throw SystemError.status(errno, "Cannot write", path) }
            written += count
            position += Int64(count)
        }
    }

    /// Puts the file in its place.
    func finish() throws(WireStatus) -> FileInfo {
        let descriptor = try opened()
        if let temporary {
            guard temporary.withCPath({ from in path.withCPath { rename(from, $0) } }) == 0 else {
                throw SystemError.status(errno, "Cannot replace", path)
            }
            self.temporary = nil
        }
        guard let status = stat.of(descriptor.value) else { throw SystemError.status(errno, "Cannot look at", path) }
        self.descriptor = nil
        return status.info(path: path)
    }

    func abort() {
        if let temporary { _ = temporary.withCPath { unlink($0) } }
        temporary = nil
        descriptor = nil
    }

    private func opened() throws(WireStatus) -> Descriptor {
        if let descriptor { return descriptor }
        path = try resolved(request.path)
        if request.createParents { try FileOperations.makeParents(of: path, owner: owner) }
        let existing = stat.of(path, follow: false)
        if let existing {
            guard !existing.isDirectory else {
                throw WireStatus(.isDirectory, "\(Path.display(path)) is a directory", errno: EISDIR)
            }
            guard existing.isRegular else { throw WireStatus(.invalid, "\(Path.display(path)) is not a regular file") }
        }
        let descriptor =
            request.offset < 0 ? try openTemporary(existing) : try openInPlace(isNew: existing == nil)
        self.descriptor = descriptor
        return descriptor
    }

    /// Writing to a link writes to what it points to.
    private func resolved(_ path: [UInt8]) throws(WireStatus) -> [UInt8] {
        var path = path
        for _ in 0..<WriteTarget.maximumLinks {
            guard stat.of(path, follow: false)?.isSymlink == true, let target = SmallFile.link(AT_FDCWD, path) else {
                return path
            }
            path = target.first == Path.slash ? target : Path.join(Path.parent(path), target)
        }
        throw SystemError.status(ELOOP, "Cannot open", path)
    }

    private func openInPlace(isNew: Bool) throws(WireStatus) -> Descriptor {
        position = request.offset
        let flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW
        let opened = path.withCPath { nj_openat(AT_FDCWD, $0, flags, request.mode & 0o7777) }
        guard opened >= 0 else { throw SystemError.status(errno, "Cannot open", path) }
        let descriptor = Descriptor(opened)
        guard stat.of(opened)?.isRegular == true else {
            throw WireStatus(.invalid, "\(Path.display(path)) is not a regular file")
        }
        if isNew { try dress(descriptor, mode: request.mode, uid: owner.uid, gid: owner.gid) }
        return descriptor
    }

    private func openTemporary(_ existing: stat?) throws(WireStatus) -> Descriptor {
        let random = String(UInt64.random(in: .min ... .max), radix: 16)
        let name = Path.join(Path.parent(path), Array(".nj-\(random).tmp".utf8))
        let opened = name.withCPath { nj_openat(AT_FDCWD, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600) }
        guard opened >= 0 else { throw SystemError.status(errno, "Cannot write to the directory of", path) }
        temporary = name
        let descriptor = Descriptor(opened)
        if let existing, keepsExisting {
            try dress(descriptor, mode: existing.st_mode, uid: existing.st_uid, gid: existing.st_gid)
        } else {
            try dress(descriptor, mode: request.mode, uid: owner.uid, gid: owner.gid)
        }
        return descriptor
    }

    /// The owner first: changing it clears the set-user-ID bit.
    private func dress(_ descriptor: Descriptor, mode: UInt32, uid: UInt32, gid: UInt32) throws(WireStatus) {
        if uid != 0 || gid != 0, fchown(descriptor.value, uid, gid) != 0 {
            throw SystemError.status(errno, "Cannot change the owner of", path)
        }
        guard fchmod(descriptor.value, mode & 0o7777) == 0 else {
            throw SystemError.status(errno, "Cannot change the mode of", path)
        }
    }
}

/// Takes the host's bytes to a file.
final class FileWriter: StreamHandler {
    private let target: WriteTarget
    private let stream: Stream
    private let loop: EventLoop
    private let pool: WorkerPool
    private let channel: Channel
    private var pending: [[UInt8]] = []
    private var hasEnded = false
    private var isWriting = false
    private var isOver = false

    init(_ target: WriteTarget, stream: Stream, loop: EventLoop, pool: WorkerPool, channel: Channel) {
        self.target = target
        self.stream = stream
        self.loop = loop
        self.pool = pool
        self.channel = channel
    }

    /// Opens the file at the end of this turn, when the first bytes may be here already.
    func begin() {
        stream.handler = self
        loop.soon { [self] in work() }
    }

    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) {
        guard !hasEnded else { return }
        if !bytes.isEmpty { pending.append(bytes) }
        hasEnded = end
        loop.soon { [self] in work() }
    }

    func closed(_ stream: Stream) {
        isOver = true
        pending = []
        if !isWriting { abort() }
    }

    private func work() {
        guard !isWriting, !isOver else { return }
        isWriting = true
        let pieces = pending
        let isLast = hasEnded
        let target = target
        pending = []
        pool.submit {
            Result { () throws(WireStatus) -> FileInfo? in
                try target.write([])
                for piece in pieces { try target.write(piece) }
                return isLast ? try target.finish() : nil
            }
        } then: { [self] result in
            isWriting = false
            finished(result, count: pieces.reduce(0) { $0 + $1.count })
        }
    }

    private func finished(_ result: Result<FileInfo?, WireStatus>, count: Int) {
        switch result {
        case .success(let info?):
            isOver = true
            channel.send(.file(info), on: stream, final: true)
        case .success:
            if isOver { return abort() }
            channel.consumed(count, on: stream)
            if !pending.isEmpty || hasEnded { work() }
        case .failure(let error):
            isOver = true
            channel.close(stream, error)
            abort()
        }
    }

    private func abort() {
        let target = target
        pool.submit {
            target.abort()
        } then: { _ in
        }
    }
}

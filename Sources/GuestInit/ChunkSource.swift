internal import CLinux
internal import Glibc
internal import Synchronization
internal import Wire

/// Gives a large answer in pieces, on a worker thread and by one call at a time.
protocol ChunkSource: AnyObject, Sendable {
    /// The next bytes, some 256 KiB at most, and whether they are the last.
    func next() throws(WireStatus) -> (bytes: [UInt8], isLast: Bool)
}

/// A regular file's bytes.
final class FileSource: ChunkSource {
    private static let chunkSize = 256 * 1024
    /// Of files that do not tell their size, as those in `/proc`.
    private static let maximumUnsized: Int64 = 64 * 1024 * 1024

    let info: FileInfo
    private let descriptor: Descriptor
    private let progress: Mutex<(position: Int64, remaining: Int64)>

    init(_ path: [UInt8], offset: Int64, length: Int64) throws(WireStatus) {
        guard offset >= 0, length >= -1 else { throw WireStatus(.invalid, "The range is negative") }
        // Not to wait for a FIFO's writer; O_NOCTTY not to gain a terminal.
        let opened = path.withCPath { nj_openat(AT_FDCWD, $0, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0) }
        guard opened >= 0 else { throw SystemError.status(errno, "Cannot open", path) }
        descriptor = Descriptor(opened)
        guard let status = stat.of(opened) else { throw SystemError.status(errno, "Cannot look at", path) }
        guard !status.isDirectory else {
            throw WireStatus(.isDirectory, "\(Path.display(path)) is a directory", errno: EISDIR)
        }
        guard status.isRegular else { throw WireStatus(.invalid, "\(Path.display(path)) is not a regular file") }
        info = status.info(path: path)
        // What is appended while it is read is left for the next reader, so that every read ends.
        let available = info.size > 0 ? max(0, info.size - offset) : FileSource.maximumUnsized
        progress = Mutex((offset, length < 0 ? available : min(length, available)))
    }

    func next() throws(WireStatus) -> (bytes: [UInt8], isLast: Bool) {
        let (position, remaining) = progress.withLock { $0 }
        let wanted = Int(min(remaining, Int64(FileSource.chunkSize)))
        guard wanted > 0 else { return ([], true) }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
            count = retrying { pread(descriptor.value, buffer.baseAddress, wanted, off_t(position)) }
            initialized = max(0, count)
        }
        guard count >= 0 else { throw SystemError.status(errno, "Cannot read", info.path) }
        let left = remaining - Int64(count)
        progress.withLock { $0 = (position + Int64(count), left) }
        return (bytes, count == 0 || left == 0)
    }
}

/// A directory's entries as records.
final class ListingSource: ChunkSource {
    static let maximumDepth = 64
    private static let chunkSize = 128 * 1024

    private struct Walk: ~Copyable, @unchecked Sendable {
        // Only ever used under the mutex.
        let tree: TreeWalk
    }
    private let walk: Mutex<Walk>
    private let depth: Int

    init(_ path: [UInt8], depth: UInt32) throws(WireStatus) {
        guard depth <= ListingSource.maximumDepth else {
            throw WireStatus(.invalid, "A listing is at most \(ListingSource.maximumDepth) levels deep")
        }
        self.depth = max(1, Int(depth))
        walk = Mutex(Walk(tree: try TreeWalk(path, followRoot: true)))
    }

    func next() throws(WireStatus) -> (bytes: [UInt8], isLast: Bool) {
        let result: Result<([UInt8], Bool), WireStatus> = walk.withLock { walk in
            do throws(WireStatus) {
                return .success(try chunk(walk.tree))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func chunk(_ tree: TreeWalk) throws(WireStatus) -> ([UInt8], Bool) {
        var bytes: [UInt8] = []
        while bytes.count < ListingSource.chunkSize {
            guard let visit = try tree.next() else { return (bytes, true) }
            if visit.isLeaving { continue }
            if visit.depth >= depth { tree.skip() }
            let target = visit.status.isSymlink ? SmallFile.link(visit.directory, visit.name) ?? [] : []
            bytes += WireRecord.entry(visit.status.info(path: visit.path, target: target)).encoded()
        }
        return (bytes, false)
    }
}

/// Sends a source's bytes as the host takes them, and reads one piece ahead.
final class SourceStream: StreamHandler {
    private static let readAhead = 256 * 1024

    private let source: any ChunkSource
    private let stream: Stream
    private let pool: WorkerPool
    private let channel: Channel
    private var pieces = Queue<(bytes: [UInt8], taken: Int)>()
    private var buffered = 0
    private var isReading = false
    private var isComplete = false
    private var failure: WireStatus?

    init(_ source: any ChunkSource, stream: Stream, pool: WorkerPool, channel: Channel) {
        self.source = source
        self.stream = stream
        self.pool = pool
        self.channel = channel
    }

    /// Adds what was read already together with the first answer.
    func begin(with first: (bytes: [UInt8], isLast: Bool)) {
        stream.handler = self
        took(.success(first))
    }

    func produce(limit: Int, for stream: Stream) -> Produced {
        if let failure { return Produced(next: .close(failure)) }
        guard limit > 0, let piece = pieces.first else {
            let isDone = isComplete && pieces.isEmpty
            return isDone ? Produced(flags: .end, next: .close(.ok)) : Produced(next: .wait)
        }
        let end = min(piece.bytes.count, piece.taken + limit)
        let bytes = piece.taken == 0 && end == piece.bytes.count ? piece.bytes : Array(piece.bytes[piece.taken..<end])
        buffered -= bytes.count
        if end == piece.bytes.count { _ = pieces.popFirst() } else { pieces.replaceFirst((piece.bytes, end)) }
        readMore()
        if isComplete, pieces.isEmpty { return Produced(bytes: bytes, flags: .end, next: .close(.ok)) }
        return Produced(bytes: bytes, next: pieces.isEmpty ? .wait : .again)
    }

    func closed(_ stream: Stream) {}

    private func readMore() {
        guard !isReading, !isComplete, failure == nil, buffered < SourceStream.readAhead else { return }
        isReading = true
        let source = source
        pool.submit {
            Result { () throws(WireStatus) in try source.next() }
        } then: { [self] result in
            isReading = false
            took(result)
        }
    }

    private func took(_ result: Result<(bytes: [UInt8], isLast: Bool), WireStatus>) {
        guard stream.isOpen else { return }
        switch result {
        case .failure(let error): failure = error
        case .success(let chunk):
            if !chunk.bytes.isEmpty { pieces.append((chunk.bytes, 0)) }
            buffered += chunk.bytes.count
            isComplete = chunk.isLast
        }
        readMore()
        channel.ready(stream)
    }
}

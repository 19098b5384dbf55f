internal import Glibc
internal import Wire

/// File requests: checked here, done on a worker thread, answered here.
extension Guest {
    /// Returns false if the request is not about files.
    func handleFile(_ request: Request, on stream: Stream) throws(WireStatus) -> Bool {
        switch request {
        case .fileStat(let path, let follow):
            let path = try Path.checked(path)
            answer(stream) { () throws(WireStatus) in .file(try FileOperations.status(path, follow: follow)) }
        case .fileRead(let path, let offset, let length):
            let path = try Path.checked(path)
            read(stream) { () throws(WireStatus) in
                let source = try FileSource(path, offset: offset, length: length)
                return (source, .file(source.info))
            }
        case .fileList(let path, let depth):
            let path = try Path.checked(path)
            read(stream) { () throws(WireStatus) in (try ListingSource(path, depth: depth), .ok) }
        case .fileWrite(let write): try self.write(write, on: stream)
        default: return try handleChange(request, on: stream)
        }
        return true
    }

    private func handleChange(_ request: Request, on stream: Stream) throws(WireStatus) -> Bool {
        switch request {
        case .makeDirectory(let path, let parents, let mode, let user):
            let path = try Path.checked(path)
            let owner = try owner(user)
            change(stream) { _ throws(WireStatus) in
                try FileOperations.makeDirectory(path, parents: parents, mode: mode, owner: owner)
            }
        case .move(let from, let to, let overwrite):
            let from = try Path.checked(from)
            let to = try Path.checked(to)
            change(stream) { _ throws(WireStatus) in try FileOperations.move(from, to: to, overwrite: overwrite) }
        case .remove(let path, let recursive):
            let path = try Path.checked(path)
            change(stream) { cancellation throws(WireStatus) in
                try TreeOperations.remove(path, recursive: recursive, cancellation)
            }
        case .changeMode(let path, let mode, let recursive):
            let path = try Path.checked(path)
            change(stream) { cancellation throws(WireStatus) in
                try TreeOperations.changeMode(path, mode: mode, recursive: recursive, cancellation)
            }
        case .changeOwner(let path, let text, let recursive):
            let path = try Path.checked(path)
            guard !text.isEmpty else { throw WireStatus(.invalid, "The new owner is empty") }
            let owner = try owner(text)
            // Without a group only the user changes, as with chown.
            let gid = text.utf8.contains(UInt8(ascii: ":")) ? owner.gid : .max
            change(stream) { cancellation throws(WireStatus) in
                try TreeOperations.changeOwner(path, uid: owner.uid, gid: gid, recursive: recursive, cancellation)
            }
        case .symlink(let target, let path, let user):
            let path = try Path.checked(path)
            let owner = try owner(user)
            change(stream) { _ throws(WireStatus) in
                try FileOperations.symlink(target: target, path: path, owner: owner)
            }
        default: return false
        }
        return true
    }

    private func owner(_ user: String) throws(WireStatus) -> FileOperations.Owner {
        let account = try accounts.resolve(user)
        return FileOperations.Owner(uid: account.uid, gid: account.gid)
    }

    private func write(_ write: FileWrite, on stream: Stream) throws(WireStatus) {
        var write = write
        write.path = try Path.checked(write.path)
        guard write.offset >= -1 else { throw WireStatus(.invalid, "The offset is negative") }
        let target = WriteTarget(write, owner: try owner(write.user))
        FileWriter(target, stream: stream, loop: loop, pool: pool, channel: channel).begin()
    }

    /// Answers with what `work` returns.
    func answer(_ stream: Stream, _ work: @escaping @Sendable () throws(WireStatus) -> Reply) {
        pool.submit {
            Result { () throws(WireStatus) in try work() }
        } then: { [self] result in
            switch result {
            case .success(let reply): channel.send(reply, on: stream, final: true)
            case .failure(let error): channel.close(stream, error)
            }
        }
    }

    private func change(_ stream: Stream, _ work: @escaping @Sendable (Cancellation) throws(WireStatus) -> Void) {
        let cancellation = Cancellation()
        stream.handler = CancelledWork(cancellation)
        answer(stream) { () throws(WireStatus) in
            try work(cancellation)
            return .ok
        }
    }

    /// Opens a source and reads its first piece in one go.
    private func read(
        _ stream: Stream, _ open: @escaping @Sendable () throws(WireStatus) -> (any ChunkSource, Reply)
    ) {
        pool.submit {
            Result { () throws(WireStatus) in
                let (source, reply) = try open()
                return OpenedSource(source: source, reply: reply, first: try source.next())
            }
        } then: { [self] result in
            switch result {
            case .success(let opened):
                channel.send(opened.reply, on: stream)
                SourceStream(opened.source, stream: stream, pool: pool, channel: channel).begin(with: opened.first)
            case .failure(let error): channel.close(stream, error)
            }
        }
    }
}

private struct OpenedSource: Sendable {
    var source: any ChunkSource
    var reply: Reply
    var first: (bytes: [UInt8], isLast: Bool)
}

/// Stops work on a tree when the host closes its stream.
private final class CancelledWork: StreamHandler {
    private let cancellation: Cancellation
    init(_ cancellation: Cancellation) { self.cancellation = cancellation }
    func closed(_ stream: Stream) { cancellation.cancel() }
}

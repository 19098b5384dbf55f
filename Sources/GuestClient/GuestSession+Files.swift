internal import SandboxModel
public import Wire

// Paths are raw bytes. What the guest refuses throws `file_not_found`, `permission_denied`, `not_a_directory`,
// `is_a_directory`, `file_exists`, `directory_not_empty`, `no_space`, `no_such_user` or `invalid_request`.
extension GuestSession {
    /// What is at a path.
    ///
    /// - Parameter follow: Whether a symlink stands for its target.
    public func stat(_ path: [UInt8], follow: Bool) async throws -> FileInfo {
        let reply = try await core.ask(
            .fileStat(path: path, follow: follow), about: .file(path), deadline: answerDeadline)
        guard case .file(let info) = reply, isPlausible(info) else { throw core.broken("a wrong reply to a stat") }
        return info
    }

    /// The entries of a directory; `depth` 1 are its own, at most 64.
    public func list(_ path: [UInt8], depth: UInt32) async throws -> RecordStream {
        try await records(.fileList(path: path, depth: depth), path, isEndless: false)
    }

    /// What changes in a directory, until the stream is let go of.
    public func watch(_ path: [UInt8], recursive: Bool) async throws -> RecordStream {
        try await records(.watch(path: path, recursive: recursive), path, isEndless: true)
    }

    private func records(_ request: Request, _ path: [UInt8], isEndless: Bool) async throws -> RecordStream {
        let (id, reply) = try await core.open(request, .download, about: .file(path), deadline: answerDeadline)
        let handle = StreamHandle(core, id)
        guard case .ok = reply else { throw core.broken("a wrong reply to a list or watch") }
        return RecordStream(handle, path: path, isEndless: isEndless)
    }

    /// Reads a file from `offset`; a `length` of -1 goes to its end.
    public func read(_ path: [UInt8], offset: Int64, length: Int64) async throws -> FileReadStream {
        let (id, reply) = try await core.open(
            .fileRead(path: path, offset: offset, length: length), .download, about: .file(path),
            deadline: answerDeadline)
        let handle = StreamHandle(core, id)
        guard case .file(let info) = reply, isPlausible(info) else { throw core.broken("a wrong reply to a read") }
        return FileReadStream(handle, info: info)
    }

    /// Writes a file from a sequence of pieces of any size.
    ///
    /// If the sequence throws, or the task is cancelled, the guest is told to drop what it has of a replaced file. A
    /// guest that takes nothing for a minute is given up.
    ///
    /// - Returns: The file after it was written.
    public func write<S: AsyncSequence & Sendable>(_ write: FileWrite, body: S) async throws -> FileInfo
    where S.Element == [UInt8] {
        let payload = try SessionCore.encode(.fileWrite(write))
        let id = try core.reserve(.upload)
        do {
            core.perform { state, effects in state.announce(id, payload: payload, deadline: nil, &effects) }
            let isWhole = try await send(body, on: id)
            let reply = try core.reply(try await core.next(id), about: .file(write.path))
            guard isWhole, case .file(let info) = reply, isPlausible(info) else {
                throw core.broken("a wrong reply to a write")
            }
            core.forget(id)
            return info
        } catch {
            core.forget(id, status: WireStatus(.cancelled))
            throw Task.isCancelled ? SessionCore.cancelled : error
        }
    }

    /// Paths of one file are as long as Linux lets them be, since they go into headers.
    private func isPlausible(_ info: FileInfo) -> Bool { info.path.count <= 4096 && info.target.count <= 4096 }

    /// Sends all pieces and the end; `false` if the guest closed the stream before.
    private func send<S: AsyncSequence & Sendable>(_ body: S, on id: UInt32) async throws -> Bool
    where S.Element == [UInt8] {
        for try await piece in body {
            let stall = SessionCore.deadline(after: max(SessionCore.stall, requestDeadline))
            guard try await core.write(id, piece, end: false, stall: stall) else { return false }
        }
        // The guest may still have to sync much.
        return try await core.write(id, [], end: true, stall: SessionCore.deadline(after: Self.treeDeadline))
    }

    /// Makes a directory.
    public func makeDirectory(_ path: [UInt8], parents: Bool, mode: UInt32, user: String) async throws {
        try await command(.makeDirectory(path: path, parents: parents, mode: mode, user: user), about: .file(path))
    }

    /// Moves a file or directory.
    public func move(from: [UInt8], to: [UInt8], overwrite: Bool) async throws {
        try await command(
            .move(from: from, to: to, overwrite: overwrite), about: .files(from, to), deadline: Self.treeDeadline)
    }

    /// Removes a file, or a directory with all that is in it.
    public func remove(_ path: [UInt8], recursive: Bool) async throws {
        try await command(
            .remove(path: path, recursive: recursive), about: .file(path), deadline: recursive ? Self.treeDeadline : nil
        )
    }

    /// Changes permission bits.
    public func changeMode(_ path: [UInt8], mode: UInt32, recursive: Bool) async throws {
        try await command(
            .changeMode(path: path, mode: mode, recursive: recursive), about: .file(path),
            deadline: recursive ? Self.treeDeadline : nil)
    }

    /// Changes the owner: `user`, `user:group`, `uid` or `uid:gid`.
    public func changeOwner(_ path: [UInt8], owner: String, recursive: Bool) async throws {
        try await command(
            .changeOwner(path: path, owner: owner, recursive: recursive), about: .file(path),
            deadline: recursive ? Self.treeDeadline : nil)
    }

    /// Makes a symlink at `path` that points to `target`.
    public func symlink(target: [UInt8], path: [UInt8], user: String) async throws {
        try await command(.symlink(target: target, path: path, user: user), about: .file(path))
    }
}

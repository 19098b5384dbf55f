internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
public import SandboxModel

/// A path inside a sandbox: bytes, mostly UTF-8.
public struct SandboxPath: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    public var bytes: [UInt8]
    public init(bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }
    public init(stringLiteral value: String) { self.init(value) }

    /// For people: bytes that are not UTF-8 are replaced.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    public func appending(_ relative: [UInt8]) -> SandboxPath {
        SandboxPath(bytes: bytes.last == UInt8(ascii: "/") ? bytes + relative : bytes + [UInt8(ascii: "/")] + relative)
    }
}

/// How a file is written.
public struct FileWriteOptions: Sendable, Hashable {
    /// Permission bits of a new file.
    public var mode: UInt32?
    /// Owner of a new file; default: the template's user.
    public var user: String?
    public var createParents = true
    /// Writes in place from this offset; `nil` replaces the whole file atomically.
    public var offset: Int64?
    public init(mode: UInt32? = nil, user: String? = nil, createParents: Bool = true, offset: Int64? = nil) {
        self.mode = mode
        self.user = user
        self.createParents = createParents
        self.offset = offset
    }
}

/// A file's description and its content, as it comes.
public struct FileDownload: Sendable {
    public var file: FileResource
    public var content: ResponseBody
}

extension NightjarClient {
    /// Reads a file.
    ///
    /// - Parameter range: The part of it; to the end, if the upper bound is `nil`.
    public func read(
        _ sandbox: String, _ path: SandboxPath, from start: Int64? = nil, through end: Int64? = nil
    ) async throws -> FileDownload {
        var headers: [(String, String)] = []
        if start != nil || end != nil { headers = [("Range", "bytes=\(start ?? 0)-\(end.map(String.init) ?? "")")] }
        let response = try await send(.GET, files(sandbox, nil, path), headers: headers)
        guard let description = response.headers.first(name: "X-Nightjar-File") else {
            throw SandboxError(.internalError, "The server did not describe the file that it sent.")
        }
        let file = try Self.decode(FileResource.self, from: description.utf8, requestID: response.requestID)
        return FileDownload(file: file, content: response.body)
    }

    /// Reads a whole file into memory.
    public func contents(_ sandbox: String, _ path: SandboxPath, upTo limit: Int = 64 << 20) async throws -> [UInt8] {
        try await read(sandbox, path).content.collect(upTo: limit)
    }

    /// Writes a file from a stream.
    ///
    /// - Parameter length: In bytes, if it is known.
    public func write<S: AsyncSequence & Sendable>(
        _ sandbox: String, _ path: SandboxPath, _ options: FileWriteOptions = .init(), length: Int64? = nil, content: S
    ) async throws -> FileResource where S.Element == [UInt8] {
        try await write(sandbox, path, options, body: .stream(length: length, pieces: BodyStream(content)))
    }

    /// Writes a file from memory.
    @discardableResult
    public func write(
        _ sandbox: String, _ path: SandboxPath, _ options: FileWriteOptions = .init(), bytes: [UInt8]
    ) async throws -> FileResource {
        try await write(sandbox, path, options, body: .bytes(ByteBuffer(bytes: bytes)))
    }

    private func write(
        _ sandbox: String, _ path: SandboxPath, _ options: FileWriteOptions, body: HTTPRequest.Body
    ) async throws -> FileResource {
        var target = files(sandbox, nil, path)
        target.query("mode", options.mode.map(Self.octal))
        target.query("user", options.user)
        target.query("create_parents", options.createParents)
        target.query("offset", options.offset)
        let response = try await send(
            .PUT, target, headers: [("Content-Type", "application/octet-stream")], body: body, patience: .endless)
        return try Self.decode(FileResource.self, from: try await read(response), requestID: response.requestID)
    }

    public func remove(_ sandbox: String, _ path: SandboxPath, recursive: Bool = false) async throws {
        var target = files(sandbox, nil, path)
        if recursive { target.query("recursive", true) }
        try await perform(.DELETE, target)
    }

    public func stat(_ sandbox: String, _ path: SandboxPath, follow: Bool = true) async throws -> FileResource {
        var target = files(sandbox, "stat", path)
        target.query("follow", follow)
        return try await call(.GET, target)
    }

    /// - Parameter depth: 1 lists the directory itself; at most 64.
    public func list(_ sandbox: String, _ path: SandboxPath, depth: Int = 1) async throws -> [FileResource] {
        var target = files(sandbox, "list", path)
        target.query("depth", depth)
        let list: Items<FileResource> = try await call(.GET, target, patience: .endless)
        return list.items
    }

    public func makeDirectory(
        _ sandbox: String, _ path: String, parents: Bool = false, mode: UInt32? = nil, user: String? = nil
    ) async throws {
        struct Body: Encodable {
            var path: String
            var parents: Bool
            var mode: String?
            var user: String?
        }
        try await change(sandbox, "mkdir", Body(path: path, parents: parents, mode: mode.map(Self.octal), user: user))
    }

    public func move(_ sandbox: String, from: String, to: String, overwrite: Bool = false) async throws {
        struct Body: Encodable {
            var from: String
            var to: String
            var overwrite: Bool
        }
        try await change(sandbox, "move", Body(from: from, to: to, overwrite: overwrite))
    }

    public func changeMode(_ sandbox: String, _ path: String, _ mode: UInt32, recursive: Bool = false) async throws {
        struct Body: Encodable {
            var path: String
            var mode: String
            var recursive: Bool
        }
        try await change(sandbox, "chmod", Body(path: path, mode: Self.octal(mode), recursive: recursive))
    }

    /// - Parameter owner: `user`, `user:group`, `uid` or `uid:gid`.
    public func changeOwner(_ sandbox: String, _ path: String, _ owner: String, recursive: Bool = false) async throws {
        struct Body: Encodable {
            var path: String
            var owner: String
            var recursive: Bool
        }
        try await change(sandbox, "chown", Body(path: path, owner: owner, recursive: recursive))
    }

    public func makeSymlink(_ sandbox: String, _ path: String, to destination: String, user: String? = nil) async throws
    {
        struct Body: Encodable {
            var target: String
            var path: String
            var user: String?
        }
        try await change(sandbox, "symlink", Body(target: destination, path: path, user: user))
    }

    /// Changes below a directory, as they come, until the caller stops reading.
    public func watch(
        _ sandbox: String, _ path: SandboxPath, recursive: Bool = true
    ) async throws -> ResourceStream<WatchEventResource> {
        var target = files(sandbox, "watch", path)
        target.query("recursive", recursive)
        return ResourceStream(events: try await events(target))
    }

    private func change(_ sandbox: String, _ verb: String, _ body: some Encodable) async throws {
        try await perform(
            .POST, Target("sandboxes", sandbox, "files", verb), headers: Self.jsonHeaders, body: try Self.json(body))
    }

    private func files(_ sandbox: String, _ verb: String?, _ path: SandboxPath) -> Target {
        var target = Target("sandboxes", sandbox, "files")
        if let verb { target.append(segment: verb) }
        target.query("path", path.bytes)
        return target
    }

    private static func octal(_ mode: UInt32) -> String { "0" + String(mode & 0o7777, radix: 8) }
}

internal import GuestClient
internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

extension APIService {
    /// Everything about files but their contents.
    func addFileRoutes(to router: Router<APIContext>) {
        let base: RouterPath = "/v1/sandboxes/{sandbox}/files"
        router.delete(base) { request, context in
            let query = try Query(request, known: ["path", "recursive"])
            let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
            let recursive = try query.flag("recursive") ?? false
            try await runtime.withGuest(sandbox, .request("remove")) { guest in
                try await guest.session.remove(path, recursive: recursive)
            }
            return Response.noContent
        }
        router.get("\(base)/stat") { request, context in
            let query = try Query(request, known: ["path", "follow"])
            let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
            let follow = try query.flag("follow") ?? true
            return try Response.json(
                try await look(sandbox, .request("stat"), context) { guest in
                    FileResource(try await guest.session.stat(path, follow: follow))
                })
        }
        router.get("\(base)/list", use: listFiles)
        router.get("\(base)/watch", use: watchFiles)
        router.post("\(base)/mkdir") { request, context in
            let body: MakeDirectoryBody = try await change(request, context)
            let path = try GuestPath.check(body.path)
            let mode = try body.mode.map { try FileMode.parse($0) } ?? 0o755
            let user = try body.user.map { try UserName.check($0) }
            try await runtime.withGuest(try context.sandbox(), .request("mkdir")) { guest in
                try await guest.session.makeDirectory(
                    path, parents: body.parents ?? false, mode: mode, user: user ?? guest.defaults.user)
            }
            return Response.noContent
        }
        router.post("\(base)/move") { request, context in
            let body: MoveBody = try await change(request, context)
            let (from, to) = (try GuestPath.check(body.from, what: "from"), try GuestPath.check(body.to, what: "to"))
            try await runtime.withGuest(try context.sandbox(), .request("move")) { guest in
                try await guest.session.move(from: from, to: to, overwrite: body.overwrite ?? false)
            }
            return Response.noContent
        }
        router.post("\(base)/chmod") { request, context in
            let body: ChangeModeBody = try await change(request, context)
            let (path, mode) = (try GuestPath.check(body.path), try FileMode.parse(body.mode))
            try await runtime.withGuest(try context.sandbox(), .request("chmod")) { guest in
                try await guest.session.changeMode(path, mode: mode, recursive: body.recursive ?? false)
            }
            return Response.noContent
        }
        router.post("\(base)/chown") { request, context in
            let body: ChangeOwnerBody = try await change(request, context)
            let (path, owner) = (try GuestPath.check(body.path), try UserName.check(body.owner, what: "owner"))
            try await runtime.withGuest(try context.sandbox(), .request("chown")) { guest in
                try await guest.session.changeOwner(path, owner: owner, recursive: body.recursive ?? false)
            }
            return Response.noContent
        }
        router.post("\(base)/symlink") { request, context in
            let body: SymlinkBody = try await change(request, context)
            let path = try GuestPath.check(body.path)
            let target = Array(body.target.utf8)
            guard (1...GuestPath.maximum).contains(target.count), !target.contains(0) else {
                throw SandboxError(.invalidPath, "The target must have 1 to \(GuestPath.maximum) bytes and no NUL.")
            }
            let user = try body.user.map { try UserName.check($0) }
            try await runtime.withGuest(try context.sandbox(), .request("symlink")) { guest in
                try await guest.session.symlink(target: target, path: path, user: user ?? guest.defaults.user)
            }
            return Response.noContent
        }
    }

    private func change<Body: Decodable>(_ request: Request, _ context: APIContext) async throws -> Body {
        _ = try Query(request, known: [])
        _ = try context.sandbox()
        return try await context.json(Body.self, from: request)
    }

    @Sendable private func listFiles(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["path", "depth"])
        let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
        let depth = UInt32(try query.integer("depth", in: 1...64) ?? 1)
        return try await context.connection.whileOpen(endsAtShutdown: true) {
            try await look(sandbox, .request("list"), context) { guest in
                let records = try await guest.session.list(path, depth: depth)
                // A tree may be large: it is sent as it is read. The first entry decides between answer and error.
                var next = try await records.next()
                let stream = try await context.beginStream(.ok, headers: [.contentType: "application/json"])
                var piece = Array(#"{"items":["#.utf8)
                var isFirst = true
                while let record = next {
                    if case .entry(let info) = record {
                        if !isFirst { piece.append(UInt8(ascii: ",")) }
                        isFirst = false
                        piece += try JSONOutput.bytes(FileResource(info))
                    }
                    if piece.count > 32 * 1024 {
                        try await stream.write(piece)
                        piece = []
                    }
                    next = try await records.next()
                }
                try await stream.write(piece + Array("]}\n".utf8))
                try await stream.finish()
                return stream.response
            }
        }
    }

    @Sendable private func watchFiles(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["path", "recursive"])
        let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
        let recursive = try query.flag("recursive") ?? false
        // An open watch needs the guest, and so keeps the sandbox awake.
        return try await look(sandbox, .stream("watch"), context) { guest in
            let records = try await guest.session.watch(path, recursive: recursive)
            return try await context.serveEvents { sink in
                while let record = try await records.next() {
                    guard case .event(let event) = record else { continue }
                    try await sink.send(event: "watch", data: WatchEventResource(event))
                }
            }
        }
    }
}

private struct MakeDirectoryBody: Decodable {
    let path: String
    let parents: Bool?
    let mode: String?
    let user: String?
    enum CodingKeys: String, CodingKey, CaseIterable { case path, parents, mode, user }
}

private struct MoveBody: Decodable {
    let from: String
    let to: String
    let overwrite: Bool?
    enum CodingKeys: String, CodingKey, CaseIterable { case from, to, overwrite }
}

private struct ChangeModeBody: Decodable {
    let path: String
    let mode: String
    let recursive: Bool?
    enum CodingKeys: String, CodingKey, CaseIterable { case path, mode, recursive }
}

private struct ChangeOwnerBody: Decodable {
    let path: String
    let owner: String
    let recursive: Bool?
    enum CodingKeys: String, CodingKey, CaseIterable { case path, owner, recursive }
}

private struct SymlinkBody: Decodable {
    let target: String
    let path: String
    let user: String?
    enum CodingKeys: String, CodingKey, CaseIterable { case target, path, user }
}

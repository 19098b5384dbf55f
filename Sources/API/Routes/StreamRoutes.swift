internal import GuestClient
internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

extension APIService {
    func addStreamRoutes(to router: Router<APIContext>) {
        router.get("/v1/sandboxes/{sandbox}/processes/{process}/output", use: output)
        router.get("/v1/sandboxes/{sandbox}/processes/{process}/attach", use: attach)
        router.get("/v1/sandboxes/{sandbox}/ports/{port}", use: port)
    }

    @Sendable private func output(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["offset", "limit", "follow"])
        let offset = try query.integer("offset", in: 0...Query.largestInteger) ?? 0
        let limit = Int(try query.integer("limit", in: 1...(16 << 20)) ?? 1 << 20)
        let last = try request.lastEventID()
        let (sandbox, id) = (try context.sandbox(), try context.process())
        guard try query.flag("follow") == true else {
            return try Response.json(
                try await look(sandbox, .request("output"), context) { guest in
                    try await Self.retained(id, guest.session, offset: offset, limit: limit)
                })
        }
        let start = last ?? offset
        let follower = OutputFollower(
            runtime: runtime, sandbox: try await runtime.get(sandbox).id.rawValue, process: id)
        try await follower.check()
        return try await context.serveEvents { sink in try await follower.run(from: start, sink) }
    }

    /// What is there now, without waiting for more.
    private static func retained(
        _ id: UInt32, _ session: GuestSession, offset: Int64, limit: Int
    ) async throws -> OutputResource {
        let info = try await info(of: id, session)
        guard offset < info.outputEnd else {
            return OutputResource(chunks: [], nextOffset: offset, exit: info.exit.map { ExitResource($0) })
        }
        let stream = try await session.attach(ProcessAttach(id: id, offset: offset, observer: true))
        var next = max(offset, stream.startOffset)
        var chunks: [OutputChunkResource] = []
        var left = limit
        while left > 0, next < info.outputEnd, case .output(let bytes, let stderr, let at)? = try await stream.next() {
            let taken = Array(bytes.prefix(left))
            chunks.append(
                OutputChunkResource(offset: at, stream: stderr ? "stderr" : "stdout", dataBase64: Base64.encode(taken)))
            left -= taken.count
            next = at + Int64(taken.count)
        }
        await stream.detach()
        let isAll = next >= info.outputEnd
        return OutputResource(chunks: chunks, nextOffset: next, exit: isAll ? info.exit.map { ExitResource($0) } : nil)
    }

    // MARK: WebSockets

    @Sendable private func attach(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["offset"])
        let offset = try query.integer("offset", in: -1...Query.largestInteger) ?? 0
        let (sandbox, id) = (try context.sandbox(), try context.process())
        guard context.isWebSocket else { return try context.acceptWebSocket { _ in } }
        // What can be refused is refused as plain HTTP; this wakes the sandbox, too.
        _ = try await runtime.withGuest(sandbox, .request("attach")) { guest in
            try await Self.info(of: id, guest.session)
        }
        let requestID = context.requestID
        return try context.acceptWebSocket { socket in
            try await socket.reporting(requestID: requestID) {
                try await runtime.withGuest(sandbox, .stream("attach")) { guest in
                    let stream = try await guest.session.attach(ProcessAttach(id: id, offset: offset))
                    try await AttachBridge(socket: socket, stream: stream, session: guest.session).run()
                }
            }
        }
    }

    @Sendable private func port(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let sandbox = try context.sandbox()
        let text = try context.parameter("port")
        guard let port = UInt16(text), port > 0, !text.hasPrefix("+") else {
            throw SandboxError(.invalidRequest, "The port must be a whole number between 1 and 65535.")
        }
        guard context.isWebSocket else { return try context.acceptWebSocket { _ in } }
        _ = try await runtime.withGuest(sandbox, .request("port")) { guest in guest.id }
        let requestID = context.requestID
        return try context.acceptWebSocket { socket in
            try await socket.reporting(requestID: requestID) {
                try await runtime.withGuest(sandbox, .stream("port \(port)")) { guest in
                    let tunnel = try await guest.session.dial(port: port)
                    try await PortBridge(socket: socket, tunnel: tunnel).run()
                }
            }
        }
    }
}

extension WebSocketConnection {
    /// Tells the peer of an error by a text message before the socket is closed because of it.
    func reporting(requestID: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as SandboxError where error.code != .cancelled {
            struct Report: Encodable {
                let type = "error"
                let error: ErrorResource.Body
            }
            let report = Report(error: ErrorResponse.resource(for: error, requestID: requestID).error)
            try? await send(.text(JSONOutput.string(report)))
            throw error
        }
    }
}

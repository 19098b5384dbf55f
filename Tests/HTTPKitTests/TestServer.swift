import HTTPKit
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import SandboxModel
import Testing

/// A server on a free port with a few routes, for as long as the body runs.
func withServer(
    listener: Listener = .tcp, limits: ConnectionLimits = .init(),
    _ body: @escaping @Sendable (RawClient.Address) async throws -> Void
) async throws {
    let responder = APIResponder(
        router: testRouter(), key: APIKey("nj_secret"), publicPaths: ["/public"],
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let socketPath = "/tmp/nightjar-test-\(randomToken(8)).sock"
    let address: BindAddress =
        listener == .unix ? .unixDomainSocket(path: socketPath) : .hostname("127.0.0.1", port: 0)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let server = HummingbirdCore.Server(
        childChannelSetup: APIChannel(responder: responder, listener: listener, limits: limits),
        configuration: .init(address: address),
        onServerRunning: { running.yield($0.localAddress?.port ?? 0) },
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        for await port in ports {
            defer { group.cancelAll() }
            try await body(listener == .unix ? .unix(socketPath) : .port(port))
            break
        }
    }
}

private struct Echo: Codable {
    var text: String
    var count: Int?
}

private func refuse(_ code: String) throws -> String {
    throw SandboxError(.init(rawValue: code), "As asked.", hint: "Do not ask.")
}

private func testRouter() -> Router<APIContext> {
    let router = Router(context: APIContext.self)
    router.get("/public") { _, _ in "hello" }
    router.get("/private") { _, context in context.connection.listener.rawValue }
    router.post("/echo") { request, context in
        let echo = try await context.json(Echo.self, from: request)
        return Response(status: .ok, body: .init(byteBuffer: .init(string: echo.text)))
    }
    router.put("/upload") { request, context in
        let body = try UploadBody(request, limit: 1 << 20)
        try await context.acceptBody(of: request)
        var total = 0
        for try await piece in body { total += piece.count }
        return "\(total)"
    }
    router.get("/fail/{code}") { _, context in
        try refuse(context.parameters.get("code") ?? "")
    }
    router.get("/crash") { _, _ -> String in throw ChannelError.alreadyClosed }
    router.get("/stream") { _, context in
        let stream = try await context.beginStream(.ok, headers: [.contentType: "text/plain"])
        for index in 0..<3 { try await stream.write(ByteBuffer(string: "piece \(index)\n")) }
        try await stream.finish()
        return stream.response
    }
    router.get("/broken-stream") { _, context -> Response in
        let stream = try await context.beginStream(.ok, headers: [.contentLength: "100"])
        try await stream.write(ByteBuffer(string: "short"))
        throw SandboxError(.guestFailed, "It broke.")
    }
    router.get("/events") { _, context in
        try await context.serveEvents(heartbeat: .milliseconds(20)) { sink in
            try await sink.send(event: "first", id: "7", data: Echo(text: "a\nb"))
            try await Task.sleep(for: .milliseconds(100))
            throw SandboxError(.outputLost, "Too slow.")
        }
    }
    router.get("/endless") { _, context in
        try await context.serveEvents(heartbeat: .milliseconds(20)) { sink in
            do {
                try await Task.sleep(for: .seconds(600))
            } catch {
                Cancellations.shared.count()
                throw error
            }
        }
    }
    router.get("/socket/{kind}") { _, context in
        guard context.parameters.get("kind") == "echo" else {
            throw SandboxError(.sandboxNotFound, "There is no such thing.")
        }
        return try context.acceptWebSocket { socket in
            while let message = try await socket.next() {
                if case .text("fail") = message { throw SandboxError(.invalidRequest, "No.") }
                if case .text("bye") = message { return }
                try await socket.send(message)
            }
        }
    }
    return router
}

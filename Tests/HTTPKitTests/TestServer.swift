import Access
import HTTPKit
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import SandboxModel
import Store
import Synchronization
import Testing

/// A server on a free port with a few routes, for as long as the body runs.
func withServer(
    listener: Listener = .tcp, limits: ConnectionLimits = .init(), access: AccessControl? = nil,
    table: ConnectionTable = ConnectionTable(limit: 1000),
    _ body: @escaping @Sendable (RawClient.Address) async throws -> Void
) async throws {
    let standard = try await AccessControl(store: MemoryKeys(), fileKey: "nj_secret") { testTime() }
    let audit = AuditLog(
        store: MemoryAudit(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, now: testTime)
    let responder = APIResponder(
        router: testRouter(), access: access ?? standard, audit: audit,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let socketPath = "/tmp/nightjar-test-\(randomToken(8)).sock"
    let address: BindAddress =
        listener == .unix ? .unixDomainSocket(path: socketPath) : .hostname("127.0.0.1", port: 0)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let server = HummingbirdCore.Server(
        childChannelSetup: APIChannel(responder: responder, listener: listener, limits: limits, table: table),
        configuration: .init(address: address),
        onServerRunning: { running.yield($0.localAddress?.port ?? 0) },
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await audit.run() }
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

/// Keys for as long as the test runs.
final class MemoryKeys: KeyStore {
    private let state = Mutex<[String: KeyRecord]>([:])
    func keys() async throws -> [KeyRecord] { state.withLock { Array($0.values) } }
    func put(_ key: KeyRecord) async throws { state.withLock { $0[key.id] = key } }
    func removeKey(_ id: String) async throws -> Bool { state.withLock { $0.removeValue(forKey: id) != nil } }
}

/// Forgets what it is told.
struct MemoryAudit: AuditStore {
    func append(audit rows: [AuditRow], durability: Durability) async throws {}
    func auditStart() async throws -> AuditAnchor { AuditAnchor(sequence: 0, hash: []) }
    func auditHead() async throws -> AuditAnchor { AuditAnchor(sequence: 0, hash: []) }
    func audit(
        _ filter: AuditFilter, before: Int64?, limit: Int
    ) async throws -> [(intent: AuditRow, result: AuditRow?)] { [] }
    func auditRows(after sequence: Int64, limit: Int) async throws -> [AuditRow] { [] }
    func forgetAudit(through sequence: Int64) async throws {}
}

@Sendable func testTime() -> Timestamp { Timestamp(unixNanoseconds: 1_000_000_000_000) }

/// Every route needs to be known; what needs which scope is tested with the real routes.
private let testRules: [String: RouteRule] = [
    "GET /public": RouteRule(.open), "GET /private": RouteRule(.needs(.read)), "POST /echo": RouteRule(.needs(.write)),
    "PUT /upload": RouteRule(.needs(.write)), "GET /fail/{code}": RouteRule(.needs(.read)),
    "GET /crash": RouteRule(.needs(.read)), "GET /stream": RouteRule(.needs(.read)),
    "GET /broken-stream": RouteRule(.needs(.read)), "GET /events": RouteRule(.needs(.read)),
    "GET /flood": RouteRule(.needs(.read)), "GET /endless": RouteRule(.needs(.read)),
    "GET /socket/{kind}": RouteRule(.needs(.read)),
]

private func testRouter() -> APIRouter { APIRouter(rules: testRules, addTestRoutes) }

private func addTestRoutes(to router: Router<APIContext>) {
    router.get("/forgotten") { _, _ in "no rule" }
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
    router.get("/flood") { _, context in
        let stream = try await context.beginStream(.ok, headers: [.contentType: "text/plain"])
        for _ in 0..<1_000_000 { try await stream.write([UInt8](repeating: 0x61, count: 65536)) }
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
}

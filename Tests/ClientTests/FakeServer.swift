import Access
import Client
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

/// A real HTTP server in this process, with the routes of a test, on a free port of the loopback address.
func withServer(
    _ routes: (Router<APIContext>) -> Void, _ body: @escaping @Sendable (NightjarClient) async throws -> Void
) async throws {
    // The routes are those of the test, so everybody with the key may call each.
    let listed = Router(context: APIContext.self)
    routes(listed)
    let names = listed.routes.map { "\($0.method.rawValue) \($0.path.description)" }
    let rules = Dictionary(names.map { ($0, RouteRule(.needs(.read))) }) { $1 }
    let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let access = try await AccessControl(store: MemoryKeys(), fileKey: "nj_secret") { Timestamp(unixNanoseconds: 0) }
    let audit = AuditLog(store: NoAudit(), logger: quiet) { Timestamp(unixNanoseconds: 0) }
    let responder = APIResponder(router: APIRouter(rules: rules, routes), access: access, audit: audit, logger: quiet)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let server = HummingbirdCore.Server(
        childChannelSetup: APIChannel(responder: responder, listener: .tcp, limits: .init()),
        configuration: .init(address: .hostname("127.0.0.1", port: 0)),
        onServerRunning: { running.yield($0.localAddress?.port ?? 0) },
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        defer { group.cancelAll() }
        for await port in ports {
            var configuration = ClientConfiguration(endpoint: .tcp(host: "127.0.0.1", port: port), apiKey: "nj_secret")
            configuration.unavailablePatience = .seconds(60)
            let client = NightjarClient(configuration)
            do {
                try await body(client)
            } catch {
                await client.close()
                throw error
            }
            await client.close()
            break
        }
    }
}

/// Keys for as long as the test runs.
private final class MemoryKeys: KeyStore {
    private let state = Mutex<[String: KeyRecord]>([:])
    func keys() async throws -> [KeyRecord] { state.withLock { Array($0.values) } }
    func put(_ key: KeyRecord) async throws { state.withLock { $0[key.id] = key } }
    func removeKey(_ id: String) async throws -> Bool { state.withLock { $0.removeValue(forKey: id) != nil } }
}

/// Is never asked for anything: the routes need no right to change something.
private struct NoAudit: AuditStore {
    func append(audit rows: [AuditRow], durability: Durability) async throws {}
    func auditStart() async throws -> AuditAnchor { AuditAnchor(sequence: 0, hash: []) }
    func auditHead() async throws -> AuditAnchor { AuditAnchor(sequence: 0, hash: []) }
    func audit(
        _ filter: AuditFilter, before: Int64?, limit: Int
    ) async throws -> [(intent: AuditRow, result: AuditRow?)] { [] }
    func auditRows(after sequence: Int64, limit: Int) async throws -> [AuditRow] { [] }
    func forgetAudit(through sequence: Int64) async throws {}
}

/// JSON text as an answer.
func answer(_ json: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(string: json)))
}

/// A number that handlers count up.
final class Count: Sendable {
    private let value = Mutex(0)
    /// The number before.
    func next() -> Int {
        value.withLock { value in
            defer { value += 1 }
            return value
        }
    }
    var now: Int { value.withLock { $0 } }
}

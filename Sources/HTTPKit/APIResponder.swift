public import Access
internal import CoreMetrics
internal import HTTPTypes
internal import Hummingbird
public import Logging
internal import Metrics
internal import NIOCore
internal import SandboxModel

/// Everything that happens around a route: request id, authentication, errors, access log, metrics.
public struct APIResponder: Sendable {
    private let responder: RouterResponder<APIContext>
    private let table: RouteTable
    /// `METHOD /path/{parameter}` of each route, sorted.
    public let routes: [String]
    private let access: AccessControl
    private let audit: AuditLog
    private let openPaths: Set<String>
    private let logger: Logger

    /// - Parameters:
    ///   - router: Complete; routes that are added later are not seen.
    ///   - access: Who may do what.
    ///   - audit: Where mutations are recorded; it must be running.
    ///   - logger: For the access log and the causes of errors.
    public init(router: APIRouter, access: AccessControl, audit: AuditLog, logger: Logger) {
        responder = router.router.buildResponder()
        table = RouteTable(router.router.routes.map { ($0.path.description, $0.method) })
        routes = router.routes
        openPaths = Set(
            router.rules.filter { $0.value.access == .open }.keys.compactMap {
                $0.split(separator: " ").last.map(String.init)
            })
        self.access = access
        self.audit = audit
        self.logger = logger
    }

    /// Answers one request. Never throws: whatever goes wrong becomes an answer.
    ///
    /// If the handler has begun a stream by itself, the returned response only says what it was.
    func respond(
        to request: Request, connection: Connection, output: ResponseOutput?, upgrade: UpgradeOffer?
    ) async -> Response {
        let clock = ContinuousClock()
        let start = clock.now
        let requestID = Self.requestID(from: request)
        var logger = logger
        logger[metadataKey: "request_id"] = .string(requestID)
        connection.place?.begin()
        defer { connection.place?.end() }
        let (principal, refusal) = identify(request, connection)
        if principal != .anonymous { connection.place?.know(principal.name) }
        let context = APIContext(
            source: .init(
                logger: logger, requestID: requestID, connection: connection, access: access, audit: audit,
                principal: principal,
                refusal: refusal, output: output, upgrade: upgrade))
        var failure: SandboxError?
        var response: Response
        do {
            let lease = try access.admit(principal)
            defer { withExtendedLifetime(lease) {} }
            response = try await responder.respond(to: request, context: context)
            if context.coreContext.endpointPath.value == Self.notFound { throw refusal ?? noRoute(request) }
            response.headers[.requestID] = requestID
        } catch {
            let known = ErrorResponse.sandboxError(from: error)
            failure = known
            response = ErrorResponse.response(for: known, requestID: requestID)
            if known.code == .methodNotAllowed { response.headers[.allow] = allowed(request) }
        }
        if let head = output?.head { response.status = head.status }
        record(request, context, response, failure, duration: clock.now - start, logger)
        return response
    }

    /// Who asks, and if that is nobody, why. Open routes are answered all the same.
    private func identify(_ request: Request, _ connection: Connection) -> (Principal, SandboxError?) {
        if connection.listener == .unix { return (connection.localPrincipal, nil) }
        // Who shows nothing has not failed yet if the route is open.
        let header = request.headers[.authorization]
        if header == nil, openPaths.contains(request.uri.path) { return (.anonymous, nil) }
        do {
            return (try access.authenticate(BearerToken.parse(header), from: connection.address), nil)
        } catch {
            return (.anonymous, error)
        }
    }

    /// What Hummingbird's router calls a request that no route took.
    private static let notFound = "NotFound"

    private func allowed(_ request: Request) -> String {
        table.methods(at: request.uri.path).map(\.rawValue).joined(separator: ", ")
    }

    private func noRoute(_ request: Request) -> SandboxError {
        let allowed = allowed(request)
        guard allowed.isEmpty else {
            return SandboxError(.methodNotAllowed, "The method is not allowed here.", hint: "allowed: \(allowed)")
        }
        return SandboxError(.routeNotFound, "There is nothing at this path.", hint: "see /v1/openapi.yaml")
    }

    /// The client's own id if it is 1 to 128 visible ASCII characters, otherwise a new one.
    static func requestID(from request: Request) -> String {
        if let given = request.headers[.requestID], (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            return given
        }
        return "req_" + randomToken(20)
    }

    private func record(
        _ request: Request, _ context: APIContext, _ response: Response, _ failure: SandboxError?, duration: Duration,
        _ logger: Logger
    ) {
        let route = context.coreContext.endpointPath.value.flatMap { $0 == Self.notFound ? nil : $0 } ?? "none"
        let status = response.status.code
        let dimensions = [("method", Self.known(request.method)), ("route", route)]
        Counter(label: "nightjar_http_requests_total", dimensions: dimensions + [("status", "\(status)")]).increment()
        Metrics.Timer(label: "nightjar_http_request_duration_seconds", dimensions: dimensions).record(
            duration: duration)

        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue), "path": .string(request.uri.path), "status": "\(status)",
            "ms": .string(duration.milliseconds), "listener": .string(context.connection.listener.rawValue),
            "remote": .string(context.connection.remote), "who": .string(context.principal.name),
        ]
        if let failure {
            metadata["error"] = .string(failure.code.rawValue)
            if let cause = failure.cause { metadata["cause"] = .string("\(cause)") }
        }
        let level: Logger.Level = status >= 500 ? .error : openPaths.contains(request.uri.path) ? .debug : .info
        logger.log(level: level, "request", metadata: metadata)
    }

    /// Methods are the client's text; only known ones become a metric's label.
    private static func known(_ method: HTTPRequest.Method) -> String {
        switch method {
        case .get, .head, .post, .put, .patch, .delete, .options: method.rawValue
        default: "other"
        }
    }
}

extension Duration {
    /// With three decimals.
    var milliseconds: String {
        let microseconds = components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}

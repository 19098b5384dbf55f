internal import Access
internal import HTTPTypes
public import Hummingbird
public import SandboxModel

/// What a route demands of who calls it.
public enum RouteAccess: Sendable, Hashable {
    /// No key.
    case open
    case needs(AccessScope)
}

/// What is known of a route beside its handler.
public struct RouteRule: Sendable, Hashable {
    public var access: RouteAccess
    /// Whether each request is recorded in the audit log, before its handler runs and after.
    public var isAudited: Bool

    public init(_ access: RouteAccess, isAudited: Bool = false) {
        self.access = access
        self.isAudited = isAudited
    }
}

/// A router whose routes all have a rule, which is applied before the route's handler runs.
public struct APIRouter {
    let router: Router<APIContext>
    let rules: [String: RouteRule]

    /// - Parameters:
    ///   - rules: By `METHOD /path/{parameter}`. A route without one answers nobody.
    ///   - build: Adds the routes.
    public init(rules: [String: RouteRule], _ build: (Router<APIContext>) -> Void) {
        router = Router(context: APIContext.self)
        self.rules = rules
        // Middleware holds for the routes that are added after it.
        router.add(middleware: AccessMiddleware(rules: rules))
        build(router)
    }

    /// `METHOD /path/{parameter}` of each route, sorted.
    public var routes: [String] {
        router.routes.map { "\($0.method.rawValue) \($0.path.description)" }.sorted()
    }
}

/// Holds each request to its route's rule.
struct AccessMiddleware: RouterMiddleware {
    typealias Context = APIContext

    private struct Route: Hashable {
        var method: String
        var path: String
    }
    private let rules: [Route: RouteRule]

    init(rules: [String: RouteRule]) {
        var table: [Route: RouteRule] = [:]
        for (name, rule) in rules {
            let words = name.split(separator: " ", maxSplits: 1).map(String.init)
            if words.count == 2 { table[Route(method: words[0], path: words[1])] = rule }
        }
        self.rules = table
    }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        // Without a path no route was found, which is the responder's to say.
        guard let path = context.coreContext.endpointPath.value else { return try await next(request, context) }
        guard let rule = rules[Route(method: request.method.rawValue, path: path)] else {
            throw SandboxError(.internalError, "The route has no rule of access.")
        }
        if case .needs(let scope) = rule.access {
            if let refusal = context.refusal { throw refusal }
            guard context.principal.may(scope) else {
                throw SandboxError(
                    .forbidden, "This key may not do this: it needs the scope \(scope.rawValue).",
                    hint: "have an admin make one: nightjar key create --scope \(scope.rawValue)")
            }
        }
        guard rule.isAudited else { return try await next(request, context) }
        return try await audited(request, path, context, next)
    }

    /// What is refused above has changed nothing, and is not recorded: nobody without the right to change something can
    /// fill the log.
    private func audited(
        _ request: Request, _ path: String, _ context: APIContext,
        _ next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let target = context.parameters.get("sandbox") ?? context.parameters.get("key")
        let intent = try await context.audit.begin(
            request: context.requestID, by: context.principal, from: context.connection.remote,
            method: request.method.rawValue, route: path,
            // The client's text; a name has at most 63 bytes.
            target: target.map { String($0.prefix(128)) })
        let start = ContinuousClock.now
        func end(_ status: Int, _ code: SandboxError.Code?) {
            context.audit.end(
                intent, status: status, code: code?.rawValue, target: context.made.name,
                duration: ContinuousClock.now - start)
        }
        do {
            let response = try await next(request, context)
            end(context.output?.head?.status.code ?? response.status.code, nil)
            return response
        } catch {
            let known = ErrorResponse.sandboxError(from: error)
            end(known.code.row.httpStatus, known.code)
            throw error
        }
    }
}

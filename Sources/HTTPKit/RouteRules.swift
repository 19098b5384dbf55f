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
    public init(_ access: RouteAccess) { self.access = access }
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
        return try await next(request, context)
    }
}

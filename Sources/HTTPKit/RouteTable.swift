internal import HTTPTypes
internal import Hummingbird

/// Tells a path that exists with another method from one that does not exist.
struct RouteTable: Sendable {
    private let routes: [(components: [String], method: HTTPRequest.Method)]

    init(_ routes: [(path: String, method: HTTPRequest.Method)]) {
        self.routes = routes.map { ($0.path.split(separator: "/").map(String.init), $0.method) }
    }

    /// The methods that the path knows, sorted; empty if there is no such path.
    func methods(at path: String) -> [HTTPRequest.Method] {
        let components = path.split(separator: "/")
        let found = routes.filter { route in
            route.components.count == components.count
                && zip(route.components, components).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        return Set(found.map(\.method)).sorted { $0.rawValue < $1.rawValue }
    }
}

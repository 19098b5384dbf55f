public import HTTPKit
public import Hummingbird
public import SandboxRuntime

/// What the adapters need beside the runtime.
public struct APIConfiguration: Sendable {
    /// Bytes of one upload that are accepted. Default 10 GiB.
    public var maximumUpload: Int64 = 10 << 30
    /// Renders `/metrics`.
    public var renderMetrics: @Sendable () -> String = { "" }
    public init() {}
}

/// The `/v1` API over a runtime: routes that decode, validate, call and encode.
public struct APIService: Sendable {
    let runtime: SandboxRuntime
    let configuration: APIConfiguration

    public init(runtime: SandboxRuntime, configuration: APIConfiguration = .init()) {
        self.runtime = runtime
        self.configuration = configuration
    }

    /// Paths that need no key.
    public static let publicPaths: Set<String> = ["/v1/health", "/v1/version", "/v1/openapi.yaml"]

    /// A router with all routes.
    public func router() -> Router<APIContext> {
        let router = Router(context: APIContext.self)
        addSystemRoutes(to: router)
        addSandboxRoutes(to: router)
        addProcessRoutes(to: router)
        addStreamRoutes(to: router)
        addFileRoutes(to: router)
        addFileContentRoutes(to: router)
        return router
    }
}

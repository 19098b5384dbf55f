public import Access
public import HTTPKit
internal import Hummingbird
public import SandboxRuntime

/// What the adapters need beside the runtime.
public struct APIConfiguration: Sendable {
    /// Bytes of one upload that are accepted. Default 10 GiB.
    public var maximumUpload: Int64 = 10 << 30
    /// Where a write into a file may begin at the most: whoever reads the file gets the hole before it in full.
    public var maximumOffset: Int64 = 1 << 40
    /// Renders `/metrics`.
    public var renderMetrics: @Sendable () -> String = { "" }
    public init() {}
}

/// The `/v1` API over a runtime: routes that decode, validate, call and encode.
public struct APIService: Sendable {
    let runtime: SandboxRuntime
    let access: AccessControl
    let audit: AuditLog
    let configuration: APIConfiguration

    public init(
        runtime: SandboxRuntime, access: AccessControl, audit: AuditLog, configuration: APIConfiguration = .init()
    ) {
        self.runtime = runtime
        self.access = access
        self.audit = audit
        self.configuration = configuration
    }

    /// A router with all routes, each with its rule.
    public func router() -> APIRouter {
        APIRouter(rules: Self.rules) { router in
            router.add(middleware: AdmissionWaitMiddleware())
            addSystemRoutes(to: router)
            addKeyRoutes(to: router)
            addAuditRoutes(to: router)
            addSandboxRoutes(to: router)
            addUsageRoutes(to: router)
            addProcessRoutes(to: router)
            addStreamRoutes(to: router)
            addFileRoutes(to: router)
            addFileContentRoutes(to: router)
        }
    }
}

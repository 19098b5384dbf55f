public import Isolation
public import Logging
public import SandboxImages
public import SandboxModel
public import SandboxStorage
public import ServiceLifecycle
public import Store

public final class SandboxRuntime: Service, Sendable {
    public init(
        store: any SandboxStore, drivers: [String: any IsolationDriver], storage: DataDirectory, images: TemplateStore,
        configuration: RuntimeConfiguration = .init(), logger: Logger, clock: any RuntimeClock = SystemClock()
    ) {}
    public func run() async throws {}
    public var isReady: Bool { false }
    public func create(_ spec: SandboxSpec, idempotency: Idempotency?) async throws -> SandboxResource { throw todo() }
    public func get(_ reference: String) async throws -> SandboxResource { throw todo() }
    public func list(_ filter: SandboxFilter, cursor: String?, limit: Int) async throws -> Page<SandboxResource> { throw todo() }
    public func pause(_ reference: String) async throws -> SandboxResource { throw todo() }
    public func resume(_ reference: String) async throws -> SandboxResource { throw todo() }
    public func standby(_ reference: String) async throws -> SandboxResource { throw todo() }
    public func stop(_ reference: String) async throws -> SandboxResource { throw todo() }
    public func delete(_ reference: String) async throws { throw todo() }
    public func update(_ reference: String, _ change: SandboxChange) async throws -> SandboxResource { throw todo() }
    public func withGuest<R: Sendable>(
        _ reference: String, _ activity: Activity, _ body: @Sendable (GuestContext) async throws -> R
    ) async throws -> R { throw todo() }
    public func metrics(_ reference: String) async throws -> SandboxMetricsResource { throw todo() }
    public func events(after: Int64?, sandbox: String?, limit: Int) async throws -> [EventResource] { throw todo() }
    public func followEvents(after: Int64?, sandbox: String?) -> AsyncStream<EventResource> { AsyncStream { $0.finish() } }
    public func templates() async throws -> [TemplateResource] { throw todo() }
    public func template(_ name: String) async throws -> TemplateResource { throw todo() }
    public func capabilities() async -> CapabilitiesResource { .init(isolation: [], network: ["none"]) }
    public func health() -> HealthResource { .init(status: "starting", sandboxes: [:]) }
    private func todo() -> SandboxError { SandboxError(.unavailable, "The runtime is not there yet.") }
}

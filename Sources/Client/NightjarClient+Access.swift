internal import NIOHTTP1
public import SandboxModel

extension NightjarClient {
    /// All keys, oldest first.
    public func keys() async throws -> [KeyResource] {
        let list: Items<KeyResource> = try await call(.GET, Target("keys"))
        return list.items
    }

    /// Makes a key; only this answer has its secret.
    public func createKey(_ request: KeyRequest) async throws -> KeyResource {
        try await call(.POST, Target("keys"), body: try Self.json(request))
    }

    public func revokeKey(_ id: String) async throws { try await perform(.DELETE, Target("keys", id)) }

    /// Mutations, newest first.
    ///
    /// - Parameters:
    ///   - who: Only of this key's id, or `uid:NUMBER`.
    ///   - target: Only what was done to this sandbox or key.
    ///   - limit: 1 to 1,000.
    ///   - cursor: ``SandboxModel/Page/nextCursor`` of the page before.
    public func audit(
        who: String? = nil, target: String? = nil, limit: Int? = nil, cursor: String? = nil
    ) async throws -> Page<AuditResource> {
        var route = Target("audit")
        route.query("who", who)
        route.query("target", target)
        route.query("limit", limit)
        route.query("cursor", cursor)
        return try await call(.GET, route)
    }

    /// Has the server compute the log's hashes again.
    public func verifyAudit() async throws -> AuditVerificationResource {
        try await call(.GET, Target("audit", "verification"), patience: .longer(by: .seconds(60)))
    }
}

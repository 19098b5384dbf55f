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
}

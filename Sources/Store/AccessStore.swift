public import SandboxModel

/// A key as it is kept: with a hash in the place of the secret.
public struct KeyRecord: Sendable, Hashable {
    public var id: String
    public var label: String?
    public var scopes: Set<AccessScope>
    /// SHA-256 of the key's whole text.
    public var digest: [UInt8]
    public var createdAt: Timestamp
    public var expiresAt: Timestamp?

    public init(
        id: String, label: String?, scopes: Set<AccessScope>, digest: [UInt8], createdAt: Timestamp,
        expiresAt: Timestamp?
    ) {
        self.id = id
        self.label = label
        self.scopes = scopes
        self.digest = digest
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }
}

/// Keeps the API's keys. Every function is one transaction that is on the device when it returns.
///
/// ### Errors
/// All functions throw ``SandboxError`` with `store_failed` if the database fails.
public protocol KeyStore: Sendable {
    /// All of them, oldest first.
    func keys() async throws -> [KeyRecord]

    /// Adds a key, or replaces the one with its id.
    func put(_ key: KeyRecord) async throws

    /// - Returns: Whether there was one.
    func removeKey(_ id: String) async throws -> Bool
}

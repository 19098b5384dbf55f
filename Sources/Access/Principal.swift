public import SandboxModel

/// On whose behalf a request is served.
public struct Principal: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// A key's holder.
        case key(String)
        /// Whoever may open the Unix socket; what the kernel says of it, if it does.
        case local(uid: UInt32?, pid: Int32?)
        /// Nobody that is known. Good for open routes only.
        case anonymous
    }

    public var kind: Kind
    public var label: String?
    /// All that its scopes cover.
    public var scopes: Set<AccessScope>

    init(kind: Kind, label: String?, scopes: Set<AccessScope>) {
        self.kind = kind
        self.label = label
        self.scopes = scopes
    }

    public static let anonymous = Principal(kind: .anonymous, label: nil, scopes: [])

    /// A peer of the Unix socket may do everything: the file's mode decides who can be one.
    public static func local(uid: UInt32?, pid: Int32?) -> Principal {
        Principal(kind: .local(uid: uid, pid: pid), label: nil, scopes: AccessScope.admin.covered)
    }

    /// As it is logged: the key's id, or `uid:0`.
    public var name: String {
        switch kind {
        case .key(let id): id
        case .local(let uid?, _): "uid:\(uid)"
        case .local(nil, _): "local"
        case .anonymous: "anonymous"
        }
    }

    public func may(_ scope: AccessScope) -> Bool { scopes.contains(scope) }
}

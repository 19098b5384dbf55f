/// What a key is good for. ``admin`` covers ``write``, and ``write`` covers ``read``.
public enum AccessScope: String, Sendable, Hashable, Codable, CaseIterable {
    /// See everything; neither change nor wake anything.
    case read = "sandbox:read"
    /// Use, change, create and delete sandboxes.
    case write = "sandbox:write"
    /// Also keys and the audit log.
    case admin

    /// This scope and those that it covers.
    public var covered: Set<AccessScope> {
        switch self {
        case .read: [.read]
        case .write: [.read, .write]
        case .admin: [.read, .write, .admin]
        }
    }
}

/// A key of the API, without what it is proved by.
public struct KeyResource: Sendable, Hashable, Codable {
    public var id: String
    public var label: String?
    public var scopes: [AccessScope]
    public var createdAt: Timestamp
    /// From then on it is refused; absent: never.
    public var expiresAt: Timestamp?
    /// The key itself, in the answer to its creation and never again: the server keeps a hash.
    public var secret: String?

    public init(
        id: String, label: String?, scopes: [AccessScope], createdAt: Timestamp, expiresAt: Timestamp?,
        secret: String? = nil
    ) {
        self.id = id
        self.label = label
        self.scopes = scopes
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.secret = secret
    }

    enum CodingKeys: String, CodingKey {
        case id, label, scopes
        case createdAt = "created_at"
        case expiresAt = "expires_at"
        case secret
    }
}

/// Body of `POST /v1/keys`.
public struct KeyRequest: Sendable, Hashable, Codable {
    public var scopes: [AccessScope]
    /// 1 to 128 characters, no control characters.
    public var label: String?
    /// Seconds, 1 to ten years.
    public var expiresIn: Double?

    public static let longestLife = 3650.0 * 86_400
    public static let longestLabel = 128

    public init(scopes: [AccessScope], label: String? = nil, expiresIn: Double? = nil) {
        self.scopes = scopes
        self.label = label
        self.expiresIn = expiresIn
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case scopes, label
        case expiresIn = "expires_in"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        scopes = try fields.decode([String].self, forKey: .scopes).map { text in
            guard let scope = AccessScope(rawValue: text) else {
                let known = AccessScope.allCases.map(\.rawValue).joined(separator: ", ")
                throw SandboxError(.invalidRequest, "The scope '\(text)' is not known.", hint: "known: \(known)")
            }
            return scope
        }
        label = try fields.decodeIfPresent(String.self, forKey: .label)
        expiresIn = try fields.decodeIfPresent(Double.self, forKey: .expiresIn)
    }

    /// - Throws: ``SandboxError`` with `invalid_request` that names the field.
    public func validate() throws(SandboxError) {
        guard !scopes.isEmpty, Set(scopes).count == scopes.count else {
            throw SandboxError(.invalidRequest, "scopes must name at least one scope, and none twice.")
        }
        if let label {
            guard (1...Self.longestLabel).contains(label.unicodeScalars.count),
                label.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
            else {
                throw SandboxError(
                    .invalidRequest,
                    "label must have 1 to \(Self.longestLabel) characters and no control characters.")
            }
        }
        if let expiresIn, !(1...Self.longestLife).contains(expiresIn) {
            throw SandboxError(.invalidRequest, "expires_in must be between 1 and \(Int(Self.longestLife)) seconds.")
        }
    }
}

/// A mutation in the audit log.
public struct AuditResource: Sendable, Hashable, Codable {
    /// Of its intent. A mutation has two rows in the log, so these have gaps.
    public var sequence: Int64
    public var at: Timestamp
    /// A key's id, or `uid:0` for a user of the Unix socket.
    public var who: String
    /// The key's label at that time.
    public var label: String?
    /// The peer's address, or its process.
    public var from: String
    public var method: String
    /// The route's pattern.
    public var route: String
    /// What it was done to: a sandbox (as the request named it; of a creation, its id) or a key.
    public var target: String?
    public var requestID: String
    /// Of HTTP. Absent: under way, or the server ended before it was written.
    public var status: Int?
    /// The error's, if there was one.
    public var code: String?
    public var durationMs: Double?

    public init(
        sequence: Int64, at: Timestamp, who: String, label: String?, from: String, method: String, route: String,
        target: String?, requestID: String, status: Int?, code: String?, durationMs: Double?
    ) {
        self.sequence = sequence
        self.at = at
        self.who = who
        self.label = label
        self.from = from
        self.method = method
        self.route = route
        self.target = target
        self.requestID = requestID
        self.status = status
        self.code = code
        self.durationMs = durationMs
    }

    enum CodingKeys: String, CodingKey {
        case sequence, at, who, label, from, method, route, target
        case requestID = "request_id"
        case status, code
        case durationMs = "duration_ms"
    }
}

/// What a look at the whole chain of the audit log found.
public struct AuditVerificationResource: Sendable, Hashable, Codable {
    /// Whether every row follows from the one before.
    public var intact: Bool
    /// The first row that does not.
    public var brokenAt: Int64?
    /// Rows, of which a mutation has two.
    public var rows: Int64
    /// Sequence number and hash (hexadecimal) of the last row. Kept elsewhere, they show later that nothing before was
    /// replaced.
    public var headSequence: Int64
    public var headHash: String

    public init(intact: Bool, brokenAt: Int64?, rows: Int64, headSequence: Int64, headHash: String) {
        self.intact = intact
        self.brokenAt = brokenAt
        self.rows = rows
        self.headSequence = headSequence
        self.headHash = headHash
    }

    enum CodingKeys: String, CodingKey {
        case intact
        case brokenAt = "broken_at"
        case rows
        case headSequence = "head_sequence"
        case headHash = "head_hash"
    }
}

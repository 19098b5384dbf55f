/// What to change of a field: leave it, remove it, or set it.
public enum FieldChange<Value: Sendable & Hashable>: Sendable, Hashable {
    case keep
    case clear
    case set(Value)

    /// The value after the change.
    public func applied(to value: Value?) -> Value? {
        switch self {
        case .keep: value
        case .clear: nil
        case .set(let new): new
        }
    }
}

/// A change of some fields of a ``LifecyclePolicy``; `nil` leaves a field as it is.
public struct LifecycleChange: Sendable, Hashable, Codable {
    public var idleTimeout: Double?
    public var onIdle: IdleAction?
    /// In JSON: absent keeps it, `null` removes the bound.
    public var maxAge: FieldChange<Double>
    public var autoResume: Bool?

    public init(
        idleTimeout: Double? = nil, onIdle: IdleAction? = nil, maxAge: FieldChange<Double> = .keep,
        autoResume: Bool? = nil
    ) {
        self.idleTimeout = idleTimeout
        self.onIdle = onIdle
        self.maxAge = maxAge
        self.autoResume = autoResume
    }

    public enum CodingKeys: String, CodingKey, CaseIterable {
        case idleTimeout = "idle_timeout"
        case onIdle = "on_idle"
        case maxAge = "max_age"
        case autoResume = "auto_resume"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        idleTimeout = try container.decodeIfPresent(Double.self, forKey: .idleTimeout)
        onIdle = try container.decodeIfPresent(IdleAction.self, forKey: .onIdle)
        autoResume = try container.decodeIfPresent(Bool.self, forKey: .autoResume)
        if !container.contains(.maxAge) {
            maxAge = .keep
        } else if try container.decodeNil(forKey: .maxAge) {
            maxAge = .clear
        } else {
            maxAge = .set(try container.decode(Double.self, forKey: .maxAge))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(idleTimeout, forKey: .idleTimeout)
        try container.encodeIfPresent(onIdle, forKey: .onIdle)
        try container.encodeIfPresent(autoResume, forKey: .autoResume)
        switch maxAge {
        case .keep: break
        case .clear: try container.encodeNil(forKey: .maxAge)
        case .set(let value): try container.encode(value, forKey: .maxAge)
        }
    }

    public func applied(to policy: LifecyclePolicy) -> LifecyclePolicy {
        LifecyclePolicy(
            idleTimeout: idleTimeout ?? policy.idleTimeout, onIdle: onIdle ?? policy.onIdle,
            maxAge: maxAge.applied(to: policy.maxAge), autoResume: autoResume ?? policy.autoResume)
    }
}

/// Body of `PATCH /v1/sandboxes/{sandbox}`.
public struct SandboxChange: Sendable, Hashable, Codable {
    /// Replaces all labels.
    public var labels: [String: String]?
    public var lifecycle: LifecycleChange?

    public init(labels: [String: String]? = nil, lifecycle: LifecycleChange? = nil) {
        self.labels = labels
        self.lifecycle = lifecycle
    }

    public enum CodingKeys: String, CodingKey, CaseIterable {
        case labels, lifecycle
    }
}

/// Which sandboxes a list shows.
public struct SandboxFilter: Sendable, Hashable {
    /// All of them must be there with these values.
    public var labels: [String: String]
    /// Empty: every state.
    public var states: Set<SandboxState>
    public init(labels: [String: String] = [:], states: Set<SandboxState> = []) {
        self.labels = labels
        self.states = states
    }
}

/// Makes a repeated creation return the first one's sandbox. Remembered for ``lifetime``.
public struct Idempotency: Sendable, Hashable {
    /// 1 to 255 visible ASCII characters, chosen by the caller.
    public var key: String
    /// Anything that is equal for equal requests, for example a hash of the body.
    public var fingerprint: String
    public init(key: String, fingerprint: String) {
        self.key = key
        self.fingerprint = fingerprint
    }

    /// In seconds: 24 hours.
    public static let lifetime = 24.0 * 3600

    /// Whether the key is within its bounds.
    public static func isValid(key: String) -> Bool {
        (1...255).contains(key.utf8.count) && key.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}

/// What to do when a sandbox has been idle for its timeout.
public enum IdleAction: String, Sendable, Hashable, Codable, CaseIterable {
    case standby, stop, delete, none
}

/// The rules of a sandbox's life.
///
/// They are the same for durable and ephemeral sandboxes: by default both fall asleep after 15 seconds without use. An
/// ephemeral one that nobody woke for an hour (a setting of the server), or that was stopped or failed so long ago, is
/// deleted; set ``onIdle`` to `delete` to have it deleted as soon as it is idle.
public struct LifecyclePolicy: Sendable, Hashable, Codable {
    /// Seconds without activity until ``onIdle`` happens; 1 to 2,592,000 (30 days). Default 15.
    public var idleTimeout: Double
    /// Default `standby`.
    public var onIdle: IdleAction
    /// Seconds after creation at which the sandbox is deleted (ephemeral) or stopped (durable), whatever it does;
    /// 1 to 31,536,000. `nil`: no bound.
    public var maxAge: Double?
    /// Whether a request that needs the sandbox wakes it from standby or starts it from `stopped`. Default `true`.
    public var autoResume: Bool

    public init(idleTimeout: Double = 15, onIdle: IdleAction = .standby, maxAge: Double? = nil, autoResume: Bool = true)
    {
        self.idleTimeout = idleTimeout
        self.onIdle = onIdle
        self.maxAge = maxAge
        self.autoResume = autoResume
    }

    enum CodingKeys: String, CodingKey {
        case idleTimeout = "idle_timeout"
        case onIdle = "on_idle"
        case maxAge = "max_age"
        case autoResume = "auto_resume"
    }
}

/// Network of a sandbox. Only `none` exists yet; anything else is refused.
public enum NetworkMode: String, Sendable, Hashable, Codable, CaseIterable {
    case none
}

/// How a sandbox is to be kept apart from the host.
public enum IsolationChoice: String, Sendable, Hashable, Codable, CaseIterable {
    /// A kernel in user space between the sandbox and the host's.
    case gvisor
    /// A virtual machine: a kernel of its own. Without KVM it is emulated, several times slower.
    case microvm
    /// A virtual machine where KVM can run one, else gVisor.
    case auto
}

/// What a caller asks for. ``validated()`` turns it into a ``ValidatedSpec``; everything below takes only that.
public struct SandboxSpec: Sendable, Hashable, Codable {
    /// Given: the sandbox is durable and unique by this name. Not given: ephemeral.
    public var name: String?
    public var template: String
    /// At most 32; keys and values at most 128 characters.
    public var labels: [String: String]
    /// Environment of every process; at most 256 entries and 128 KiB.
    public var environment: [String: String]
    public var lifecycle: LifecyclePolicy
    /// What is asked for; once the sandbox exists, all of it.
    public var limits: LimitsSpec
    public var network: NetworkMode
    /// `nil`: what the template says, and where it says nothing, what the server says.
    public var isolation: IsolationChoice?

    public init(
        name: String? = nil, template: String = "base", labels: [String: String] = [:],
        environment: [String: String] = [:],
        lifecycle: LifecyclePolicy = .init(), limits: LimitsSpec = .init(), network: NetworkMode = .none,
        isolation: IsolationChoice? = nil
    ) {
        self.name = name
        self.template = template
        self.labels = labels
        self.environment = environment
        self.lifecycle = lifecycle
        self.limits = limits
        self.network = network
        self.isolation = isolation
    }

    enum CodingKeys: String, CodingKey {
        case name, template, labels
        case environment = "env"
        case lifecycle, limits, network, isolation
    }
}

/// A specification whose every field is within its bounds.
public struct ValidatedSpec: Sendable, Hashable, Codable {
    public let value: SandboxSpec
    init(unchecked value: SandboxSpec) { self.value = value }
    public init(from decoder: any Decoder) throws { value = try SandboxSpec(from: decoder) }
    public func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
    public var isDurable: Bool { value.name != nil }
}

extension SandboxSpec {
    /// Checks every bound that does not need the world.
    ///
    /// - Throws: ``SandboxError`` with `invalid_name` or `invalid_request`, naming the field and the bound.
    public func validated() throws(SandboxError) -> ValidatedSpec {
        if let name { try Self.check(name: name, what: "name") }
        try Self.check(name: template, what: "template")
        try checkLabels()
        try checkEnvironment()
        try Self.check(lifecycle.idleTimeout, in: 1...2_592_000, "lifecycle.idle_timeout")
        if let maxAge = lifecycle.maxAge { try Self.check(maxAge, in: 1...31_536_000, "lifecycle.max_age") }
        try limits.check()
        return ValidatedSpec(unchecked: self)
    }

    /// 1 to 63 characters of `a-z`, `0-9` and `-`, starting and ending with a letter or digit; not like an identifier.
    public static func check(name: String, what: String) throws(SandboxError) {
        let bytes = Array(name.utf8)
        let isAlphanumeric = { (byte: UInt8) in (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        guard (1...63).contains(bytes.count), bytes.allSatisfy({ isAlphanumeric($0) || $0 == 0x2D }),
            let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last)
        else {
            throw SandboxError(
                .invalidName, "The \(what) is not valid.",
                hint: "use 1 to 63 characters of a-z, 0-9 and -, starting and ending with a letter or digit")
        }
    }

    static func check(_ value: Double, in range: ClosedRange<Double>, _ what: String) throws(SandboxError) {
        guard value.isFinite, range.contains(value) else {
            throw SandboxError(
                .invalidRequest, "\(what) must be between \(plain(range.lowerBound)) and \(plain(range.upperBound)).")
        }
    }

    private static func plain(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }

    private func checkLabels() throws(SandboxError) {
        guard labels.count <= 32 else { throw SandboxError(.invalidRequest, "At most 32 labels are allowed.") }
        for (key, value) in labels {
            guard (1...128).contains(key.unicodeScalars.count), value.unicodeScalars.count <= 128,
                !key.contains("="), !(key + value).unicodeScalars.contains(where: { $0.value < 0x20 })
            else {
                throw SandboxError(
                    .invalidRequest, "A label is not valid.",
                    hint: "keys are 1 to 128 characters without '=', values at most 128, no control characters")
            }
        }
    }

    private func checkEnvironment() throws(SandboxError) {
        let size = environment.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
        guard environment.count <= 256, size <= 128 * 1024 else {
            throw SandboxError(.invalidRequest, "env holds at most 256 entries and 128 KiB.")
        }
        for (key, value) in environment
        where key.isEmpty || key.contains("=") || key.utf8.contains(0) || value.utf8.contains(0) {
            throw SandboxError(
                .invalidRequest, "A key in env is empty or contains '=' or NUL, or a value contains NUL.")
        }
    }
}

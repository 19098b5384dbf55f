public import GuestClient
public import SandboxModel

/// Why somebody uses a sandbox, and so keeps it awake. The text shows in `awake_because`.
public enum Activity: Sendable, Hashable {
    /// A request that ends by itself, for example `exec`.
    case request(String)
    /// Something that stays open for as long as its client likes, for example `attach`.
    case stream(String)
    /// Looks on: neither wakes the sandbox nor keeps it awake. It is refused with `invalid_state` when the sandbox does
    /// not run, and its session ends when the sandbox falls asleep.
    case observer
}

/// What a sandbox's template and specification say about a process for which the request says nothing.
public struct GuestDefaults: Sendable, Hashable {
    public var user: String
    public var directory: String
    /// The template's environment, overridden by the sandbox's.
    public var environment: [String: String]
    /// Seconds; `nil`: none.
    public var timeout: Double?
    /// Bytes of output that are kept.
    public var retainedOutput: Int
    public init(
        user: String, directory: String, environment: [String: String], timeout: Double? = nil,
        retainedOutput: Int = 1 << 20
    ) {
        self.timeout = timeout
        self.retainedOutput = retainedOutput
        self.user = user
        self.directory = directory
        self.environment = environment
    }
}

/// What a request gets of a running sandbox. Valid inside the closure of ``SandboxRuntime/withGuest(_:_:_:)`` only.
public struct GuestContext: Sendable {
    public let session: GuestSession
    public let id: SandboxID
    public let defaults: GuestDefaults
    let describe: @Sendable () -> SandboxResource
    /// The sandbox as the API shows it, made when it is asked for.
    public var sandbox: SandboxResource { describe() }
}

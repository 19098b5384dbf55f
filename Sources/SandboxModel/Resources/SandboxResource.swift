/// A sandbox as the API shows it.
public struct SandboxResource: Sendable, Hashable, Codable {
    public var id: SandboxID
    public var name: String?
    /// Whether it was given a name, and so is kept until it is deleted.
    public var durable: Bool
    public var state: SandboxState
    /// Why it is not asleep: one line each, empty when nothing keeps it awake. Only for `running`.
    public var awakeBecause: [String]
    public var template: String
    public var templateVersion: String
    /// The tier that it got: `gvisor` or `microvm`.
    public var isolation: String
    public var labels: [String: String]
    public var lifecycle: LifecyclePolicy
    public var limits: ResourceLimits
    public var network: NetworkMode
    public var createdAt: Timestamp
    public var stateChangedAt: Timestamp
    /// The end of the last activity; now, while there is some.
    public var lastActiveAt: Timestamp
    /// When it will be idle long enough for `on_idle`; `nil` while something keeps it awake.
    public var idleAt: Timestamp?
    public var expiresAt: Timestamp?
    /// How often it woke from standby.
    public var wakes: Int
    /// Bytes on disk of the memory that standby wrote; `nil` when it is not asleep.
    public var checkpointBytes: Int64?
    /// Why it is `failed`, or what happened to it last (for example a start from files because memory was lost).
    public var problem: ProblemResource?

    public init(
        id: SandboxID, name: String?, durable: Bool, state: SandboxState, awakeBecause: [String], template: String,
        templateVersion: String, isolation: String, labels: [String: String], lifecycle: LifecyclePolicy,
        limits: ResourceLimits, network: NetworkMode, createdAt: Timestamp, stateChangedAt: Timestamp,
        lastActiveAt: Timestamp, idleAt: Timestamp?, expiresAt: Timestamp?, wakes: Int, checkpointBytes: Int64?,
        problem: ProblemResource?
    ) {
        self.id = id
        self.name = name
        self.durable = durable
        self.state = state
        self.awakeBecause = awakeBecause
        self.template = template
        self.templateVersion = templateVersion
        self.isolation = isolation
        self.labels = labels
        self.lifecycle = lifecycle
        self.limits = limits
        self.network = network
        self.createdAt = createdAt
        self.stateChangedAt = stateChangedAt
        self.lastActiveAt = lastActiveAt
        self.idleAt = idleAt
        self.expiresAt = expiresAt
        self.wakes = wakes
        self.checkpointBytes = checkpointBytes
        self.problem = problem
    }

    enum CodingKeys: String, CodingKey {
        case id, name, durable, state
        case awakeBecause = "awake_because"
        case template
        case templateVersion = "template_version"
        case isolation, labels, lifecycle, limits, network
        case createdAt = "created_at"
        case stateChangedAt = "state_changed_at"
        case lastActiveAt = "last_active_at"
        case idleAt = "idle_at"
        case expiresAt = "expires_at"
        case wakes
        case checkpointBytes = "checkpoint_bytes"
        case problem
    }
}

/// Something that went wrong with a sandbox.
public struct ProblemResource: Sendable, Hashable, Codable {
    public var code: SandboxError.Code
    public var message: String
    public var at: Timestamp
    public init(code: SandboxError.Code, message: String, at: Timestamp) {
        self.code = code
        self.message = message
        self.at = at
    }
}

/// One page of a list. `nextCursor` is `nil` on the last.
public struct Page<Item: Sendable & Codable>: Sendable, Codable {
    public var items: [Item]
    public var nextCursor: String?
    public init(items: [Item], nextCursor: String?) {
        self.items = items
        self.nextCursor = nextCursor
    }
    enum CodingKeys: String, CodingKey {
        case items
        case nextCursor = "next_cursor"
    }
}

/// Usage of a sandbox. Reading it neither wakes the sandbox nor counts as activity.
public struct SandboxMetricsResource: Sendable, Hashable, Codable {
    public var state: SandboxState
    /// CPU time on the host since it was last started or woken; 0 when it has no processes.
    public var cpuSeconds: Double
    /// RAM on the host now.
    public var memoryBytes: UInt64
    /// Processes on the host now.
    public var hostProcesses: Int
    /// Bytes of its writable layer on disk.
    public var diskBytes: Int64
    /// From inside, if it runs.
    public var guest: GuestMetricsResource?
    public init(
        state: SandboxState, cpuSeconds: Double, memoryBytes: UInt64, hostProcesses: Int, diskBytes: Int64,
        guest: GuestMetricsResource?
    ) {
        self.state = state
        self.cpuSeconds = cpuSeconds
        self.memoryBytes = memoryBytes
        self.hostProcesses = hostProcesses
        self.diskBytes = diskBytes
        self.guest = guest
    }
    enum CodingKeys: String, CodingKey {
        case state
        case cpuSeconds = "cpu_seconds"
        case memoryBytes = "memory_bytes"
        case hostProcesses = "host_processes"
        case diskBytes = "disk_bytes"
        case guest
    }
}

/// What the kernel inside the sandbox says of itself.
public struct GuestMetricsResource: Sendable, Hashable, Codable {
    public var cpuUserSeconds: Double
    public var cpuSystemSeconds: Double
    public var memoryTotalBytes: UInt64
    public var memoryAvailableBytes: UInt64
    public var processes: Int
    public var uptimeSeconds: Double
    public init(
        cpuUserSeconds: Double, cpuSystemSeconds: Double, memoryTotalBytes: UInt64, memoryAvailableBytes: UInt64,
        processes: Int, uptimeSeconds: Double
    ) {
        self.cpuUserSeconds = cpuUserSeconds
        self.cpuSystemSeconds = cpuSystemSeconds
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryAvailableBytes = memoryAvailableBytes
        self.processes = processes
        self.uptimeSeconds = uptimeSeconds
    }
    enum CodingKeys: String, CodingKey {
        case cpuUserSeconds = "cpu_user_seconds"
        case cpuSystemSeconds = "cpu_system_seconds"
        case memoryTotalBytes = "memory_total_bytes"
        case memoryAvailableBytes = "memory_available_bytes"
        case processes
        case uptimeSeconds = "uptime_seconds"
    }
}

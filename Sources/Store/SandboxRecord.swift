public import SandboxModel

/// What the store knows of one sandbox.
public struct SandboxRecord: Sendable, Hashable {
    /// The memory that standby wrote.
    public struct Checkpoint: Sendable, Hashable, Codable {
        /// Counts the standbys of this sandbox; the manifest on disk carries the same number.
        public var generation: Int
        public var bytes: Int64
        public init(generation: Int, bytes: Int64) {
            self.generation = generation
            self.bytes = bytes
        }
    }

    /// What changes when the sandbox goes from one state to another.
    public struct Status: Sendable, Hashable {
        public var state: SandboxState
        public var changedAt: Timestamp
        /// The end of the last activity that was known when the state changed.
        public var lastActiveAt: Timestamp
        /// The incarnation on the host that this state has, begins or ends.
        public var execution: ExecutionID?
        /// Identifies the boot of the host that ``execution`` belongs to; empty without one.
        public var boot: String
        /// Memory on disk that fits the files: set from standby on until the wake is confirmed.
        public var checkpoint: Checkpoint?
        /// Number of the newest checkpoint that was ever begun.
        public var checkpointGeneration: Int
        public var wakes: Int
        /// Whether `stopping` ends in deletion.
        public var deleting: Bool
        public var problem: ProblemResource?

        public init(
            state: SandboxState, changedAt: Timestamp, lastActiveAt: Timestamp, execution: ExecutionID? = nil,
            boot: String = "", checkpoint: Checkpoint? = nil, checkpointGeneration: Int = 0, wakes: Int = 0,
            deleting: Bool = false, problem: ProblemResource? = nil
        ) {
            self.state = state
            self.changedAt = changedAt
            self.lastActiveAt = lastActiveAt
            self.execution = execution
            self.boot = boot
            self.checkpoint = checkpoint
            self.checkpointGeneration = checkpointGeneration
            self.wakes = wakes
            self.deleting = deleting
            self.problem = problem
        }
    }

    public var id: SandboxID
    public var spec: ValidatedSpec
    public var templateVersion: String
    /// The driver's tier.
    public var isolation: String
    /// Content hash of the layer with the init binary that its processes were started with.
    public var initLayer: String
    public var createdAt: Timestamp
    public var status: Status

    public init(
        id: SandboxID, spec: ValidatedSpec, templateVersion: String, isolation: String, initLayer: String,
        createdAt: Timestamp, status: Status
    ) {
        self.id = id
        self.spec = spec
        self.templateVersion = templateVersion
        self.isolation = isolation
        self.initLayer = initLayer
        self.createdAt = createdAt
        self.status = status
    }
}

/// An event that has no sequence number yet.
public struct EventDraft: Sendable, Hashable {
    public var at: Timestamp
    public var sandbox: SandboxID
    public var name: String?
    public var type: String
    public var detail: [String: String]
    public init(at: Timestamp, sandbox: SandboxID, name: String?, type: String, detail: [String: String] = [:]) {
        self.at = at
        self.sandbox = sandbox
        self.name = name
        self.type = type
        self.detail = detail
    }
}

/// What a commit must outlive.
public enum Durability: Sendable, Hashable {
    /// The end of the server, however sudden. Enough for what is only about processes, which a power failure ends too.
    case process
    /// Power failure as well: the commit waits for the device.
    case device
}

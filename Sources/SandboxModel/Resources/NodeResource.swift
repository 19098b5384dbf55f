/// What a node has for its sandboxes, or what they hold of it.
public struct NodeCapacity: Sendable, Hashable, Codable {
    public var memoryMiB: Int
    /// In cores.
    public var cpus: Double
    /// How many may have processes at once.
    public var sandboxes: Int
    public init(memoryMiB: Int, cpus: Double, sandboxes: Int) {
        self.memoryMiB = memoryMiB
        self.cpus = cpus
        self.sandboxes = sandboxes
    }
    enum CodingKeys: String, CodingKey {
        case memoryMiB = "memory_mib"
        case cpus, sandboxes
    }
}

/// How much more than its capacity a node promises: the limits of all sandboxes with processes together may reach the
/// capacity times these. 1 promises nothing that is not there.
public struct Overcommit: Sendable, Hashable, Codable {
    public var memory: Double
    public var cpus: Double
    public init(memory: Double, cpus: Double) {
        self.memory = memory
        self.cpus = cpus
    }
}

/// `GET /v1/node`: what the node has, what is promised of it, and who waits.
public struct NodeResource: Sendable, Hashable, Codable {
    /// The machine as it is now.
    public struct Host: Sendable, Hashable, Codable {
        public var memoryTotalBytes: Int64
        public var memoryAvailableBytes: Int64
        /// Below this much available memory nothing is started, and idle sandboxes are put to standby.
        public var memoryReserveBytes: Int64
        public var cpus: Int
        public init(memoryTotalBytes: Int64, memoryAvailableBytes: Int64, memoryReserveBytes: Int64, cpus: Int) {
            self.memoryTotalBytes = memoryTotalBytes
            self.memoryAvailableBytes = memoryAvailableBytes
            self.memoryReserveBytes = memoryReserveBytes
            self.cpus = cpus
        }
        enum CodingKeys: String, CodingKey {
            case memoryTotalBytes = "memory_total_bytes"
            case memoryAvailableBytes = "memory_available_bytes"
            case memoryReserveBytes = "memory_reserve_bytes"
            case cpus
        }
    }

    /// Starts that are under way or wait for room.
    public struct Queue: Sendable, Hashable, Codable {
        public var waiting: Int
        /// How many may wait; who comes then is refused.
        public var limit: Int
        /// Seconds that the first of them has waited; 0 if nobody waits.
        public var longestWait: Double
        /// Seconds that a request waits unless it says otherwise.
        public var timeout: Double
        /// Waiting requests take turns by the value of this label.
        public var fairLabel: String
        public var starting: Int
        public var parallelStarts: Int
        /// Sandboxes that are being put to standby to make room.
        public var leaving: Int
        public init(
            waiting: Int, limit: Int, longestWait: Double, timeout: Double, fairLabel: String, starting: Int,
            parallelStarts: Int, leaving: Int
        ) {
            self.waiting = waiting
            self.limit = limit
            self.longestWait = longestWait
            self.timeout = timeout
            self.fairLabel = fairLabel
            self.starting = starting
            self.parallelStarts = parallelStarts
            self.leaving = leaving
        }
        enum CodingKeys: String, CodingKey {
            case waiting, limit
            case longestWait = "longest_wait"
            case timeout
            case fairLabel = "fair_label"
            case starting
            case parallelStarts = "parallel_starts"
            case leaving
        }
    }

    public var capacity: NodeCapacity
    public var overcommit: Overcommit
    /// Limits of all sandboxes that have processes, together.
    public var reserved: NodeCapacity
    public var host: Host
    public var queue: Queue
    public init(capacity: NodeCapacity, overcommit: Overcommit, reserved: NodeCapacity, host: Host, queue: Queue) {
        self.capacity = capacity
        self.overcommit = overcommit
        self.reserved = reserved
        self.host = host
        self.queue = queue
    }
}

/// `GET /v1/usage`: one page of what sandboxes have used.
public struct UsageResource: Sendable, Hashable, Codable {
    /// What one group has used in one bucket of time.
    public struct Item: Sendable, Hashable, Codable {
        /// Of a grouping by sandbox, with its name, and when it was deleted.
        public var sandbox: SandboxID?
        public var name: String?
        public var deletedAt: Timestamp?
        /// Of a grouping by label: its key, and its value, which is absent for what was used without the label.
        public var label: String?
        public var value: String?
        public var from: Timestamp
        public var to: Timestamp
        /// CPU time on the host: guest, gVisor, file access.
        public var cpuSeconds: Double
        /// Seconds with processes, running or paused.
        public var runningSeconds: Double
        /// RAM that was really occupied, times seconds.
        public var memoryGiBSeconds: Double
        /// The memory limit, times the seconds with processes.
        public var limitGiBSeconds: Double
        /// Seconds asleep on disk.
        public var standbySeconds: Double
        /// Memory on disk while asleep, times seconds.
        public var standbyGiBSeconds: Double

        public init(
            sandbox: SandboxID?, name: String?, deletedAt: Timestamp?, label: String?, value: String?, from: Timestamp,
            to: Timestamp, cpuSeconds: Double, runningSeconds: Double, memoryGiBSeconds: Double,
            limitGiBSeconds: Double, standbySeconds: Double, standbyGiBSeconds: Double
        ) {
            self.sandbox = sandbox
            self.name = name
            self.deletedAt = deletedAt
            self.label = label
            self.value = value
            self.from = from
            self.to = to
            self.cpuSeconds = cpuSeconds
            self.runningSeconds = runningSeconds
            self.memoryGiBSeconds = memoryGiBSeconds
            self.limitGiBSeconds = limitGiBSeconds
            self.standbySeconds = standbySeconds
            self.standbyGiBSeconds = standbyGiBSeconds
        }

        enum CodingKeys: String, CodingKey {
            case sandbox, name
            case deletedAt = "deleted_at"
            case label, value, from, to
            case cpuSeconds = "cpu_seconds"
            case runningSeconds = "running_seconds"
            case memoryGiBSeconds = "memory_gib_seconds"
            case limitGiBSeconds = "limit_gib_seconds"
            case standbySeconds = "standby_seconds"
            case standbyGiBSeconds = "standby_gib_seconds"
        }
    }

    /// The whole hours that are told, without the last moment.
    public var from: Timestamp
    public var to: Timestamp
    public var items: [Item]
    public var nextCursor: String?
    public init(from: Timestamp, to: Timestamp, items: [Item], nextCursor: String?) {
        self.from = from
        self.to = to
        self.items = items
        self.nextCursor = nextCursor
    }
    enum CodingKeys: String, CodingKey {
        case from, to, items
        case nextCursor = "next_cursor"
    }
}

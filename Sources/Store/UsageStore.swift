public import SandboxModel

/// What a sandbox with processes has used until now, as its execution's counters say.
public struct UsageReading: Sendable, Hashable {
    public var sandbox: SandboxID
    public var execution: ExecutionID
    public var at: Timestamp
    /// Seconds since the reading before, on a clock that never jumps; `nil` if that was in another life of the server.
    public var elapsed: Double?
    /// CPU time since the execution began; `nil` if it cannot be read any more.
    public var cpuNanoseconds: UInt64?
    /// RAM on the host now; `nil`: as at the reading before.
    public var memoryBytes: UInt64?
    /// Its limit.
    public var limitBytes: Int64
    public init(
        sandbox: SandboxID, execution: ExecutionID, at: Timestamp, elapsed: Double?, cpuNanoseconds: UInt64?,
        memoryBytes: UInt64?, limitBytes: Int64
    ) {
        self.sandbox = sandbox
        self.execution = execution
        self.at = at
        self.elapsed = elapsed
        self.cpuNanoseconds = cpuNanoseconds
        self.memoryBytes = memoryBytes
        self.limitBytes = limitBytes
    }
}

/// Quantities of use.
public struct UsageAmount: Sendable, Hashable {
    public var cpuSeconds = 0.0
    /// Seconds with processes.
    public var runningSeconds = 0.0
    /// RAM that was occupied, times seconds.
    public var memoryByteSeconds = 0.0
    /// The memory limit, times the seconds with processes.
    public var limitByteSeconds = 0.0
    /// Seconds asleep on disk.
    public var standbySeconds = 0.0
    /// Memory on disk while asleep, times seconds.
    public var standbyByteSeconds = 0.0
    public init() {}

    public static func += (left: inout UsageAmount, right: UsageAmount) {
        left.cpuSeconds += right.cpuSeconds
        left.runningSeconds += right.runningSeconds
        left.memoryByteSeconds += right.memoryByteSeconds
        left.limitByteSeconds += right.limitByteSeconds
        left.standbySeconds += right.standbySeconds
        left.standbyByteSeconds += right.standbyByteSeconds
    }
}

/// What is asked about use.
public struct UsageQuery: Sendable, Hashable {
    /// What one line of the answer stands for.
    public enum Grouping: Sendable, Hashable {
        case sandbox
        /// A value of this label, or its absence.
        case label(String)
        case total
    }
    public enum Bucket: String, Sendable, Hashable, CaseIterable {
        case hour, day, all
    }

    /// Hours since 1970 UTC, without the last.
    public var hours: Range<Int64>
    public var grouping: Grouping
    public var bucket: Bucket
    /// Only this one, which may be gone.
    public var sandbox: SandboxID?
    /// Only what was used with these labels.
    public var labels: [String: String]
    public init(
        hours: Range<Int64>, grouping: Grouping = .sandbox, bucket: Bucket = .all, sandbox: SandboxID? = nil,
        labels: [String: String] = [:]
    ) {
        self.hours = hours
        self.grouping = grouping
        self.bucket = bucket
        self.sandbox = sandbox
        self.labels = labels
    }
}

/// One line of an answer about use.
public struct UsageLine: Sendable, Hashable {
    /// Of a grouping by sandbox.
    public var sandbox: SandboxID?
    public var name: String?
    public var deletedAt: Timestamp?
    /// Of a grouping by a label; `nil` also for what was used without it.
    public var labelValue: String?
    public var from: Timestamp
    public var to: Timestamp
    public var amount: UsageAmount
    public init(from: Timestamp, to: Timestamp, amount: UsageAmount) {
        self.from = from
        self.to = to
        self.amount = amount
    }
}

/// One page of an answer about use. `nextCursor` is `nil` on the last.
public struct UsagePage: Sendable {
    public var lines: [UsageLine]
    public var nextCursor: String?
    public init(lines: [UsageLine], nextCursor: String?) {
        self.lines = lines
        self.nextCursor = nextCursor
    }
}

/// Keeps what sandboxes have used, beyond their end.
///
/// The store notes the beginning and the end of each execution and of each sleep itself, in the transactions that record
/// the states (``SandboxStore/setStatus(_:initLayer:of:events:durability:)``), so a sandbox that sleeps costs no write
/// until it wakes. While it runs, readings add what was used since the one before. What is between two readings is
/// counted once, whoever reads and however often, because the last reading is stored with what it added.
///
/// ### Errors
/// All functions throw ``SandboxError`` with `store_failed` if the database fails.
public protocol UsageStore: Sendable {
    /// Adds what was used since the readings before, in one transaction. Readings of executions that are over are left
    /// out.
    ///
    /// - Returns: What was added, all sandboxes together.
    @discardableResult
    func meter(_ readings: [UsageReading]) async throws -> UsageAmount

    /// What was used. Lines without any use are left out.
    ///
    /// - Parameters:
    ///   - now: Where a sleep ends that has not ended yet.
    ///   - cursor: ``UsagePage/nextCursor`` of the page before.
    ///   - limit: 1 to 1,000.
    /// - Throws: ``SandboxError`` with `invalid_cursor` for anything that is not such a cursor of the same question.
    func usage(_ query: UsageQuery, now: Timestamp, cursor: String?, limit: Int) async throws -> UsagePage

    /// The newest sandbox that has or had this name.
    func sandbox(everNamed name: String) async throws -> SandboxID?

    /// Forgets what was used before.
    func pruneUsage(before oldest: Timestamp) async throws
}

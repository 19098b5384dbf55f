public import SandboxModel

/// One row of the audit log. A mutation has two: the intent before its effect, and the result after.
public struct AuditRow: Sendable, Hashable {
    /// What somebody is about to do.
    public struct Intent: Sendable, Hashable {
        public var requestID: String
        /// A key's id or the user behind the Unix socket.
        public var who: String
        public var label: String?
        /// The peer's address, or process.
        public var from: String
        public var method: String
        /// The route's pattern.
        public var route: String
        /// What the path names: a sandbox, a key.
        public var target: String?

        public init(
            requestID: String, who: String, label: String?, from: String, method: String, route: String, target: String?
        ) {
            self.requestID = requestID
            self.who = who
            self.label = label
            self.from = from
            self.method = method
            self.route = route
            self.target = target
        }
    }

    /// How it ended.
    public struct Result: Sendable, Hashable {
        /// The sequence number of the intent.
        public var intent: Int64
        /// Of HTTP.
        public var status: Int
        public var code: String?
        public var microseconds: Int64
        /// What it made.
        public var target: String?

        public init(intent: Int64, status: Int, code: String?, microseconds: Int64, target: String?) {
            self.intent = intent
            self.status = status
            self.code = code
            self.microseconds = microseconds
            self.target = target
        }
    }

    public enum Content: Sendable, Hashable {
        case intent(Intent)
        case result(Result)
    }

    /// From 1, without gaps.
    public var sequence: Int64
    public var at: Timestamp
    public var content: Content
    /// Over this row and the hash of the row before.
    public var hash: [UInt8]

    public init(sequence: Int64, at: Timestamp, content: Content, hash: [UInt8]) {
        self.sequence = sequence
        self.at = at
        self.content = content
        self.hash = hash
    }
}

/// Where the chain of hashes begins, or has come to.
public struct AuditAnchor: Sendable, Hashable {
    /// The row before the first, or the last row.
    public var sequence: Int64
    public var hash: [UInt8]
    public init(sequence: Int64, hash: [UInt8]) {
        self.sequence = sequence
        self.hash = hash
    }
}

/// Which mutations are asked for.
public struct AuditFilter: Sendable, Hashable {
    public var who: String?
    public var target: String?
    public init(who: String? = nil, target: String? = nil) {
        self.who = who
        self.target = target
    }
}

/// Keeps the audit log. Rows are added and read; none is changed, and only the oldest are forgotten.
///
/// ### Errors
/// All functions throw ``SandboxError`` with `store_failed` if the database fails, `no_space` if its device is full.
public protocol AuditStore: Sendable {
    /// Adds rows, which must go on where the log ends. All or none.
    func append(audit rows: [AuditRow], durability: Durability) async throws

    /// What was forgotten last; sequence 0 if nothing was.
    func auditStart() async throws -> AuditAnchor

    /// The last row; the start if there is none.
    func auditHead() async throws -> AuditAnchor

    /// Mutations, newest first: intents, each with its result if that is known.
    ///
    /// - Parameters:
    ///   - before: Only those with a lower sequence number; `nil`: from the newest.
    ///   - limit: At least 1.
    func audit(
        _ filter: AuditFilter, before: Int64?, limit: Int
    ) async throws -> [(intent: AuditRow, result: AuditRow?)]

    /// Rows as they are stored, oldest first.
    func auditRows(after sequence: Int64, limit: Int) async throws -> [AuditRow]

    /// Forgets the oldest rows up to and including this one.
    func forgetAudit(through sequence: Int64) async throws
}

public import Logging
public import SandboxModel
public import Store
internal import Synchronization

/// The log of every mutation: who did what, from where, and how it ended.
///
/// The rule is that of all transitions: the intent is committed before the effect begins, so an acknowledged mutation is
/// never missing. Results follow within a tenth of a second. A server that is killed may lose those of its last moment;
/// such mutations then show no result.
///
/// ### Cost
/// One task writes. Whatever has come while it wrote goes into its next transaction, so a busy server commits many
/// mutations at once, and an idle one commits each at once. These commits survive the end of the server; once a second,
/// if something was written, one waits for the device. A power failure can so take the last second's, but none that is
/// itself on the device: its own commit, in the same file, comes after its intent's.
public final class AuditLog: Sendable {
    /// Rows that are kept; beyond, the oldest are forgotten.
    public static let retainedRows: Int64 = 1_000_000
    /// Rows that are forgotten in one transaction.
    private static let forgottenAtOnce: Int64 = 5000
    private static let resultDelay = Duration.milliseconds(100)
    private static let deviceInterval = Duration.seconds(1)

    private struct Waiting {
        var content: AuditRow.Content
        var at: Timestamp
        var written: CheckedContinuation<Int64, any Error>?
    }

    private struct State {
        var queue: [Waiting] = []
        var isOpen = true
        var isDelayed = false
    }

    private let store: any AuditStore
    private let retention: Int64
    private let logger: Logger
    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())
    private let (bell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let (later, delay) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    public init(
        store: any AuditStore, retention: Int64 = AuditLog.retainedRows, logger: Logger,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.store = store
        self.retention = retention
        self.logger = logger
        self.now = now
    }

    // MARK: Mutations

    /// Records what is about to be done. Its effect may begin when this returns.
    ///
    /// - Parameters:
    ///   - request: The request's id.
    ///   - principal: Who asks.
    ///   - from: The peer's address, or process.
    ///   - method: Of HTTP.
    ///   - route: The route's pattern.
    ///   - target: What the path names.
    /// - Returns: For ``end(_:status:code:target:duration:)``.
    /// - Throws: ``SandboxError`` with `store_failed` or `no_space`: what cannot be recorded must not be done.
    public func begin(
        request: String, by principal: Principal, from: String, method: String, route: String, target: String?
    ) async throws -> Int64 {
        try await begin(
            AuditRow.Intent(
                requestID: request, who: principal.name, label: principal.label, from: from, method: method,
                route: route, target: target))
    }

    func begin(_ intent: AuditRow.Intent) async throws -> Int64 {
        let at = now()
        return try await withCheckedThrowingContinuation { continuation in
            let isOpen = state.withLock { state in
                guard state.isOpen else { return false }
                state.queue.append(Waiting(content: .intent(intent), at: at, written: continuation))
                return true
            }
            if isOpen { ring.yield() } else { continuation.resume(throwing: Self.closed) }
        }
    }

    /// Records how it ended.
    public func end(_ intent: Int64, status: Int, code: String?, target: String?, duration: Duration) {
        let microseconds = duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
        let result = AuditRow.Result(
            intent: intent, status: status, code: code, microseconds: microseconds, target: target)
        let at = now()
        let isFirst = state.withLock { state in
            guard state.isOpen else { return false }
            state.queue.append(Waiting(content: .result(result), at: at, written: nil))
            defer { state.isDelayed = true }
            return !state.isDelayed
        }
        if isFirst { delay.yield() }
    }

    private static let closed = SandboxError(
        .unavailable, "The server is shutting down.", hint: "try again when it is back")

    // MARK: Reading

    /// Mutations, newest first.
    ///
    /// - Parameters:
    ///   - who: Only of this key's id, or `uid:NUMBER`.
    ///   - target: Only what was done to this sandbox or key.
    ///   - cursor: ``Page/nextCursor`` of the page before.
    ///   - limit: 1 to 1,000.
    /// - Throws: ``SandboxError`` with `invalid_cursor`, or `invalid_request` for a limit out of bounds.
    public func page(
        who: String?, target: String?, cursor: String?, limit: Int
    ) async throws -> Page<AuditResource> {
        try await page(AuditFilter(who: who, target: target), cursor: cursor, limit: limit)
    }

    func page(_ filter: AuditFilter, cursor: String?, limit: Int) async throws -> Page<AuditResource> {
        guard (1...1000).contains(limit) else {
            throw SandboxError(.invalidRequest, "limit must be between 1 and 1000.")
        }
        let before = try cursor.map { try AuditCursor.parse($0) }
        let found = try await store.audit(filter, before: before, limit: limit + 1)
        let items = found.prefix(limit).compactMap { AuditResource($0.intent, $0.result) }
        let next = found.count > limit ? items.last.map { AuditCursor.text($0.sequence) } : nil
        return Page(items: items, nextCursor: next)
    }

    /// Recomputes the whole chain.
    public func verify() async throws -> AuditVerificationResource {
        var last = try await store.auditStart()
        var rows: Int64 = 0
        var brokenAt: Int64?
        scan: while true {
            let batch = try await store.auditRows(after: last.sequence, limit: 2000)
            if batch.isEmpty { break }
            for row in batch {
                guard row.sequence == last.sequence + 1, AuditChain.hash(of: row, after: last.hash) == row.hash else {
                    // What was forgotten while this looked is no break.
                    let start = try await store.auditStart()
                    if start.sequence > last.sequence {
                        (last, rows) = (start, 0)
                        continue scan
                    }
                    brokenAt = last.sequence + 1
                    break scan
                }
                last = AuditAnchor(sequence: row.sequence, hash: row.hash)
                rows += 1
            }
        }
        return AuditVerificationResource(
            intact: brokenAt == nil, brokenAt: brokenAt, rows: rows, headSequence: last.sequence,
            headHash: last.hash.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())
    }

    // MARK: Writing

    /// Writes until it is cancelled; then what is left, and no more is taken.
    public func run() async throws {
        defer { close() }
        let head: AuditAnchor
        do {
            head = try await store.auditHead()
        } catch {
            // A server that is told to end while it starts has nothing to write.
            if Task.isCancelled { return }
            throw error
        }
        var writer = Writer(store: store, retention: retention, head: head)
        await withTaskGroup(of: Void.self) { group in
            let (later, ring) = (later, ring)
            group.addTask {
                for await _ in later {
                    try? await Task.sleep(for: Self.resultDelay)
                    ring.yield()
                }
            }
            for await _ in bell { await write(&writer) }
            group.cancelAll()
        }
        await write(&writer)
    }

    private func write(_ writer: inout Writer) async {
        while true {
            let batch = state.withLock { state in
                defer { (state.queue, state.isDelayed) = ([], false) }
                return state.queue
            }
            guard !batch.isEmpty else { return }
            let written: [Int64]
            do {
                written = try await writer.append(batch.map { ($0.content, $0.at) })
            } catch {
                logger.error("the audit log cannot be written", metadata: ["cause": "\(error)"])
                for waiting in batch { waiting.written?.resume(throwing: error) }
                await writer.lookAgain()
                continue
            }
            for (waiting, number) in zip(batch, written) { waiting.written?.resume(returning: number) }
            do {
                try await writer.forget()
            } catch {
                // It is tried again with the next batch.
                logger.debug("the oldest of the audit log cannot be forgotten", metadata: ["cause": "\(error)"])
            }
        }
    }

    private func close() {
        let left = state.withLock { state in
            defer { (state.queue, state.isOpen) = ([], false) }
            return state.queue
        }
        for waiting in left { waiting.written?.resume(throwing: Self.closed) }
    }

    /// The writing task's own: where the chain is, and what the device has.
    private struct Writer {
        let store: any AuditStore
        let retention: Int64
        var head: AuditAnchor
        var synced = ContinuousClock.now
        var forgotten: Int64?

        mutating func append(_ contents: [(AuditRow.Content, Timestamp)]) async throws -> [Int64] {
            var next = head
            let rows = contents.map { content, at in
                var row = AuditRow(sequence: next.sequence + 1, at: at, content: content, hash: [])
                row.hash = AuditChain.hash(of: row, after: next.hash)
                next = AuditAnchor(sequence: row.sequence, hash: row.hash)
                return row
            }
            let time = ContinuousClock.now
            let isDue = time - synced >= AuditLog.deviceInterval
            let store = store
            try await store.append(audit: rows, durability: isDue ? .device : .process)
            if isDue { synced = time }
            head = next
            return rows.map(\.sequence)
        }

        /// After a failure: a commit may have reached the file all the same.
        mutating func lookAgain() async {
            if let found = try? await store.auditHead() { head = found }
        }

        mutating func forget() async throws {
            if forgotten == nil { forgotten = try await store.auditStart().sequence }
            guard let start = forgotten, head.sequence - start > retention + AuditLog.forgottenAtOnce else { return }
            let through = start + AuditLog.forgottenAtOnce
            try await store.forgetAudit(through: through)
            forgotten = through
        }
    }
}

/// The place after which a page of the log goes on: the sequence number of the last mutation before.
enum AuditCursor {
    static func text(_ sequence: Int64) -> String { "a\(sequence)" }

    static func parse(_ text: String) throws(SandboxError) -> Int64 {
        guard text.hasPrefix("a"), let number = Int64(text.dropFirst()), number > 0, self.text(number) == text else {
            throw SandboxError(
                .invalidCursor, "The cursor is not valid.", hint: "use the next_cursor of the page before, unchanged")
        }
        return number
    }
}

extension AuditResource {
    /// `nil` if the row is no intent.
    fileprivate init?(_ row: AuditRow, _ ending: AuditRow?) {
        guard case .intent(let intent) = row.content else { return nil }
        var result: AuditRow.Result?
        if case .result(let known)? = ending?.content { result = known }
        self.init(
            sequence: row.sequence, at: row.at, who: intent.who, label: intent.label, from: intent.from,
            method: intent.method, route: intent.route, target: result?.target ?? intent.target,
            requestID: intent.requestID, status: result?.status, code: result?.code,
            durationMs: result.map { Double($0.microseconds) / 1000 })
    }
}

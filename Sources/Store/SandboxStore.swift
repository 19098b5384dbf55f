public import SandboxModel

/// Keeps what must outlive the server. Every function is one transaction.
///
/// ### Errors
/// All functions throw ``SandboxError`` with `store_failed` if the database fails.
public protocol SandboxStore: Sendable {
    /// Every sandbox, oldest first. For the start of the server.
    func sandboxes() async throws -> [SandboxRecord]

    /// Adds a sandbox and, with it, the key that its creation was asked for with.
    ///
    /// - Throws: ``SandboxError`` with `name_taken`, or `idempotency_conflict` if the key is in use and not too old.
    func insert(
        _ record: SandboxRecord, idempotency: Idempotency?, events: [EventDraft], durability: Durability
    ) async throws

    /// Records a transition with its events.
    ///
    /// A status that is not `deleting` never replaces one that is: whoever was overtaken by a deletion cannot undo it.
    ///
    /// - Returns: `false` if there is no such sandbox, or it is being deleted.
    @discardableResult
    func setStatus(
        _ status: SandboxRecord.Status, initLayer: String?, of id: SandboxID, events: [EventDraft],
        durability: Durability
    ) async throws -> Bool

    /// Changes the specification (labels, lifecycle).
    ///
    /// - Parameter change: Makes the new specification of the stored one, and anything that the caller wants to know.
    ///   Called inside the transaction, once; changes of one store never run at the same time.
    /// - Returns: What `change` returned; `nil` if there is no such sandbox.
    /// - Throws: Also what `change` throws; nothing is changed then.
    func changeSpec<R: Sendable>(
        of id: SandboxID, events: [EventDraft],
        _ change: @escaping @Sendable (ValidatedSpec) throws -> (ValidatedSpec, R)
    ) async throws -> (ValidatedSpec, R)?

    /// Removes a sandbox and its idempotency keys; its events stay.
    func remove(_ id: SandboxID, events: [EventDraft], durability: Durability) async throws

    /// Sandboxes by creation time, oldest first.
    ///
    /// - Parameters:
    ///   - cursor: ``Page/nextCursor`` of the page before.
    ///   - limit: 1 to 200.
    /// - Throws: ``SandboxError`` with `invalid_cursor` for anything that is not such a cursor.
    func page(_ filter: SandboxFilter, cursor: String?, limit: Int) async throws -> RecordPage

    /// The sandbox that was created with this key, if the key is not older than `oldest`.
    func sandbox(
        idempotencyKey key: String, since oldest: Timestamp
    ) async throws -> (id: SandboxID, fingerprint: String)?

    /// Appends events that belong to no transition.
    func append(_ events: [EventDraft]) async throws

    /// Events after a sequence number, oldest first; of one sandbox, if `sandbox` is set.
    func events(after sequence: Int64, sandbox: SandboxID?, limit: Int) async throws -> [EventResource]

    /// The sequence number of the newest event, or 0.
    func latestEvent() async throws -> Int64

    /// Forgets idempotency keys older than `oldest`, and the oldest events beyond the store's bound.
    func prune(idempotencyBefore oldest: Timestamp) async throws
}

/// One page of records. `nextCursor` is `nil` on the last.
public struct RecordPage: Sendable {
    public var items: [SandboxRecord]
    public var nextCursor: String?
    public init(items: [SandboxRecord], nextCursor: String?) {
        self.items = items
        self.nextCursor = nextCursor
    }
}

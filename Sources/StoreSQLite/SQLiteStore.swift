internal import Faults
internal import Foundation
internal import GRDB
public import SandboxModel
public import Store

/// The store in one SQLite file, in WAL mode.
///
/// Reads run beside the one writer and never wait for it. A commit with ``Durability/device`` is synced before it
/// returns (`synchronous=FULL`); one with ``Durability/process`` is not (`NORMAL`): it survives the end of the server,
/// and reaches the device with the next commit that is synced. On a virtual disk with a write cache the difference was
/// measured at 0.26 ms against 0.01 ms, on a plain disk it is many milliseconds, and a pause or a resume in RAM should
/// not wait for a disk. What needs the device is what a power failure must not undo: a sandbox that was promised to a
/// caller, the end of a standby, the confirmation of a wake (from then on the memory on disk is stale), settings, and a
/// deletion. Everything else is about processes, which do not outlive a power failure either.
public final class SQLiteStore: SandboxStore {
    /// Events beyond this number are forgotten, oldest first.
    public static let retainedEvents: Int64 = 100_000

    let pool: DatabasePool
    private let retention: Int64
    private let patience = LockPatience()

    /// Opens the database and brings its schema up to date.
    ///
    /// - Parameters:
    ///   - path: The database file; created with mode 0600 if it is not there.
    ///   - retainedEvents: How many events are kept.
    /// - Throws: ``SandboxError`` with `store_failed` if it cannot be opened, or was written by a newer version.
    public init(path: String, retainedEvents: Int64 = SQLiteStore.retainedEvents) throws {
        retention = retainedEvents
        var configuration = Configuration()
        configuration.label = "store"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(LockPatience.limit / .seconds(1))
        configuration.maximumReaderCount = 4
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
        do {
            try Self.createFile(at: path)
            pool = try DatabasePool(path: path, configuration: configuration)
            try Schema.bringUpToDate(pool)
        } catch let error as DatabaseError where [.SQLITE_NOTADB, .SQLITE_CORRUPT].contains(error.resultCode) {
            throw SandboxError(
                .storeFailed, "The database \(path) is damaged.",
                hint:
                    "restore it from a backup; a server with an empty database would remove the files of all sandboxes",
                cause: error)
        } catch {
            throw storeError(error)
        }
    }

    private static func createFile(at path: String) throws {
        if FileManager.default.fileExists(atPath: path) { return }
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]) else {
            throw SandboxError(
                .storeFailed, "The database cannot be created.", hint: "check the data directory's permissions")
        }
    }

    /// Closes the file. Later calls throw.
    public func close() throws {
        do { try pool.close() } catch { throw storeError(error) }
    }

    public func sandboxes() async throws -> [SandboxRecord] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM sandboxes ORDER BY created_at, id").map(SandboxRow.record)
        }
    }

    public func insert(
        _ record: SandboxRecord, idempotency: Idempotency?, events: [EventDraft], durability: Durability
    ) async throws {
        let retention = retention
        try await write(durability) { db in
            try SandboxRow.insert(record, into: db)
            try UsageRows.created(record, in: db)
            if let idempotency {
                let oldest = record.createdAt.adding(seconds: -Idempotency.lifetime)
                try db.execute(
                    sql: "DELETE FROM idempotency WHERE key = ? AND created_at < ?",
                    arguments: [idempotency.key, oldest.unixNanoseconds])
                try db.execute(
                    sql: "INSERT INTO idempotency (key, fingerprint, sandbox, created_at) VALUES (?, ?, ?, ?)",
                    arguments: [
                        idempotency.key, idempotency.fingerprint, record.id.rawValue, record.createdAt.unixNanoseconds,
                    ])
            }
            try EventRow.append(events, to: db, retention: retention)
        }
    }

    public func setStatus(
        _ status: SandboxRecord.Status, initLayer: String?, of id: SandboxID, events: [EventDraft],
        durability: Durability
    ) async throws -> Bool {
        let retention = retention
        return try await write(durability) { db in
            guard try SandboxRow.setStatus(status, initLayer: initLayer, of: id, in: db) else { return false }
            try UsageRows.changed(status, of: id, in: db)
            try EventRow.append(events, to: db, retention: retention)
            return true
        }
    }

    public func changeSpec<R: Sendable>(
        of id: SandboxID, events: [EventDraft],
        _ change: @escaping @Sendable (ValidatedSpec) throws -> (ValidatedSpec, R)
    ) async throws -> (ValidatedSpec, R)? {
        let (retention, at) = (retention, events.last?.at ?? .now)
        return try await write(.device) { db in
            guard let current = try SandboxRow.spec(of: id, in: db) else { return nil }
            let changed = try change(current)
            try SandboxRow.setSpec(changed.0, of: id, in: db)
            if changed.0.value.labels != current.value.labels { try UsageRows.relabelled(id, at: at, in: db) }
            try EventRow.append(events, to: db, retention: retention)
            return changed
        }
    }

    public func remove(_ id: SandboxID, events: [EventDraft], durability: Durability) async throws {
        let (retention, at) = (retention, events.last?.at ?? .now)
        try await write(durability) { db in
            try UsageRows.removed(id, at: at, in: db)
            try db.execute(sql: "DELETE FROM sandboxes WHERE id = ?", arguments: [id.rawValue])
            try EventRow.append(events, to: db, retention: retention)
        }
    }

    public func page(_ filter: SandboxFilter, cursor: String?, limit: Int) async throws -> RecordPage {
        guard (1...200).contains(limit) else {
            throw SandboxError(.invalidRequest, "limit must be between 1 and 200.")
        }
        var after: PageCursor?
        if let cursor {
            guard let decoded = PageCursor(cursor) else {
                throw SandboxError(
                    .invalidCursor, "The cursor is not valid.",
                    hint: "use the next_cursor of the page before, unchanged")
            }
            after = decoded
        }
        let query = PageQuery(filter: filter, after: after, limit: limit + 1)
        let records = try await read { db in
            try Row.fetchAll(db, sql: query.sql, arguments: query.arguments).map(SandboxRow.record)
        }
        let items = Array(records.prefix(limit))
        let next = records.count > limit ? items.last.map { PageCursor(createdAt: $0.createdAt, id: $0.id).text } : nil
        return RecordPage(items: items, nextCursor: next)
    }

    public func sandbox(
        idempotencyKey key: String, since oldest: Timestamp
    ) async throws -> (id: SandboxID, fingerprint: String)? {
        try await read { db in
            let row = try Row.fetchOne(
                db, sql: "SELECT sandbox, fingerprint FROM idempotency WHERE key = ? AND created_at >= ?",
                arguments: [key, oldest.unixNanoseconds])
            guard let row else { return nil }
            let fingerprint: String = row["fingerprint"]
            return (id: try SandboxRow.identifier(row["sandbox"]), fingerprint: fingerprint)
        }
    }

    public func append(_ events: [EventDraft]) async throws {
        let retention = retention
        try await write(.process) { db in try EventRow.append(events, to: db, retention: retention) }
    }

    public func events(after sequence: Int64, sandbox: SandboxID?, limit: Int) async throws -> [EventResource] {
        try await read { db in try EventRow.fetch(after: sequence, sandbox: sandbox, limit: limit, from: db) }
    }

    public func latestEvent() async throws -> Int64 {
        try await read { db in
            try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'events'") ?? 0
        }
    }

    public func prune(idempotencyBefore oldest: Timestamp) async throws {
        let retention = retention
        try await write(.process) { db in
            try db.execute(sql: "DELETE FROM idempotency WHERE created_at < ?", arguments: [oldest.unixNanoseconds])
            try EventRow.prune(db, retention: retention)
        }
    }

    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        do { return try await pool.read(body) } catch { throw storeError(error) }
    }

    func write<T: Sendable>(
        _ durability: Durability, _ body: @escaping @Sendable (Database) throws -> T
    ) async throws -> T {
        let (patience, asked) = (patience, ContinuousClock.now)
        do {
            return try await pool.writeWithoutTransaction { db in
                let result = try Self.transact(db, durability, patience, askedAt: asked) { db in
                    let result = try body(db)
                    try Step.storeWritten.reached()
                    return result
                }
                Step.storeCommitted.passed()
                return result
            }
        } catch {
            throw storeError(error)
        }
    }

    /// Not ``write(_:_:)``, which gives up when its task is cancelled.
    func shieldedWrite(
        _ durability: Durability, _ body: @escaping @Sendable (Database) throws -> Void
    ) async throws {
        let (patience, asked) = (patience, ContinuousClock.now)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            pool.asyncWriteWithoutTransaction { db in
                done.resume(
                    with: Result { try Self.transact(db, durability, patience, askedAt: asked, body) }
                        .mapError(storeError))
            }
        }
    }

    private static func transact<T>(
        _ db: Database, _ durability: Durability, _ patience: LockPatience, askedAt: ContinuousClock.Instant,
        _ body: (Database) throws -> T
    ) throws -> T {
        do {
            try setDurability(durability, db)
            try patience.prepare(db, askedAt: askedAt)
            var result: T?
            try db.inTransaction(.immediate) {
                result = try body(db)
                return .commit
            }
            patience.note(nil)
            guard let result else { throw SandboxError(.storeFailed, "The store did not commit.") }
            return result
        } catch {
            patience.note(error)
            throw error
        }
    }
}

extension Timestamp {
    fileprivate static var now: Timestamp {
        Timestamp(unixNanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000) * 1000)
    }
}

/// Every error of the database as the one type that crosses modules.
func storeError(_ error: any Error) -> SandboxError {
    if let error = error as? SandboxError { return error }
    if error is CancellationError { return SandboxError(.cancelled, "The request was cancelled.") }
    guard let error = error as? DatabaseError else {
        return SandboxError(.storeFailed, "The store failed.", cause: error)
    }
    let text = error.message ?? ""
    if error.resultCode == .SQLITE_CONSTRAINT {
        if text.contains("sandboxes.name") {
            return SandboxError(
                .nameTaken, "A sandbox with this name exists.", hint: "choose another name or delete it first")
        }
        if text.contains("idempotency.key") {
            return SandboxError(
                .idempotencyConflict, "The idempotency key is in use.", hint: "use a new key per request")
        }
    }
    if error.resultCode == .SQLITE_FULL {
        return SandboxError(
            .noSpace, "The store's device is full.", hint: "free some space and try again", cause: error)
    }
    if error.resultCode == .SQLITE_BUSY || error.resultCode == .SQLITE_LOCKED {
        return SandboxError(
            .storeFailed, "Another program keeps the store locked.", hint: "end it, or try again when it is through",
            cause: error)
    }
    if error.resultCode == .SQLITE_READONLY || error.resultCode == .SQLITE_CANTOPEN {
        return SandboxError(
            .storeFailed, "The store cannot be written.", hint: "is the data directory's file system read-only?",
            cause: error)
    }
    return SandboxError(.storeFailed, "The store failed.", cause: error)
}

internal import Foundation
internal import GRDB
internal import SandboxModel
internal import Store

/// A row of `sandboxes`, both ways.
enum SandboxRow {
    static func record(_ row: Row) throws -> SandboxRecord {
        let state: String = row["state"]
        guard let state = SandboxState(rawValue: state) else { throw corrupt("state") }
        return SandboxRecord(
            id: try identifier(row["id"]), spec: try spec(row["spec"]), templateVersion: row["template_version"],
            isolation: row["isolation"], initLayer: row["init_layer"], createdAt: time(row["created_at"]),
            status: try status(row, state))
    }

    static func identifier(_ text: String) throws -> SandboxID {
        guard let id = SandboxID(text) else { throw corrupt("id") }
        return id
    }

    static func insert(_ record: SandboxRecord, into db: Database) throws {
        var arguments: StatementArguments = [
            record.id.rawValue, record.spec.value.name, record.createdAt.unixNanoseconds, try json(record.spec),
            record.templateVersion, record.isolation, record.initLayer,
        ]
        arguments += columns(record.status)
        try db.execute(
            sql: """
                INSERT INTO sandboxes (id, name, created_at, spec, template_version, isolation, init_layer, \
                state, changed_at, last_active_at, execution, boot, checkpoint_current, checkpoint_bytes, \
                checkpoint_generation, wakes, deleting, problem_code, problem_message, problem_at) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, arguments: arguments)
        try setLabels(record.spec.value.labels, of: record.id, in: db)
    }

    static func setStatus(
        _ status: SandboxRecord.Status, initLayer: String?, of id: SandboxID, in db: Database
    ) throws -> Bool {
        var arguments = columns(status)
        arguments += [initLayer, id.rawValue, status.deleting]
        try db.execute(
            sql: """
                UPDATE sandboxes SET state = ?, changed_at = ?, last_active_at = ?, execution = ?, boot = ?, \
                checkpoint_current = ?, checkpoint_bytes = ?, checkpoint_generation = ?, wakes = ?, deleting = ?, \
                problem_code = ?, problem_message = ?, problem_at = ?, init_layer = COALESCE(?, init_layer) \
                WHERE id = ? AND (deleting = 0 OR ?)
                """, arguments: arguments)
        return db.changesCount == 1
    }

    static func spec(of id: SandboxID, in db: Database) throws -> ValidatedSpec? {
        try String.fetchOne(db, sql: "SELECT spec FROM sandboxes WHERE id = ?", arguments: [id.rawValue]).map(spec)
    }

    static func setSpec(_ spec: ValidatedSpec, of id: SandboxID, in db: Database) throws {
        try db.execute(sql: "UPDATE sandboxes SET spec = ? WHERE id = ?", arguments: [try json(spec), id.rawValue])
        try db.execute(sql: "DELETE FROM labels WHERE sandbox = ?", arguments: [id.rawValue])
        try setLabels(spec.value.labels, of: id, in: db)
    }

    private static func setLabels(_ labels: [String: String], of id: SandboxID, in db: Database) throws {
        for (key, value) in labels {
            try db.execute(
                sql: "INSERT INTO labels (sandbox, key, value) VALUES (?, ?, ?)", arguments: [id.rawValue, key, value])
        }
    }

    private static func columns(_ status: SandboxRecord.Status) -> StatementArguments {
        [
            status.state.rawValue, status.changedAt.unixNanoseconds, status.lastActiveAt.unixNanoseconds,
            status.execution?.rawValue, status.boot, status.checkpoint?.generation, status.checkpoint?.bytes,
            status.checkpointGeneration, status.wakes, status.deleting, status.problem?.code.rawValue,
            status.problem?.message, status.problem?.at.unixNanoseconds,
        ]
    }

    private static func status(_ row: Row, _ state: SandboxState) throws -> SandboxRecord.Status {
        var status = SandboxRecord.Status(
            state: state, changedAt: time(row["changed_at"]), lastActiveAt: time(row["last_active_at"]),
            boot: row["boot"],
            checkpointGeneration: row["checkpoint_generation"], wakes: row["wakes"], deleting: row["deleting"])
        if let execution: String = row["execution"] {
            guard let id = ExecutionID(execution) else { throw corrupt("execution") }
            status.execution = id
        }
        if let generation: Int = row["checkpoint_current"], let bytes: Int64 = row["checkpoint_bytes"] {
            status.checkpoint = .init(generation: generation, bytes: bytes)
        }
        if let code: String = row["problem_code"], let message: String = row["problem_message"],
            let at: Int64 = row["problem_at"]
        {
            status.problem = ProblemResource(code: .init(rawValue: code), message: message, at: time(at))
        }
        return status
    }

    private static func time(_ nanoseconds: Int64) -> Timestamp { Timestamp(unixNanoseconds: nanoseconds) }

    private static func json(_ spec: ValidatedSpec) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(spec), as: UTF8.self)
    }

    private static func spec(_ text: String) throws -> ValidatedSpec {
        do {
            return try JSONDecoder().decode(ValidatedSpec.self, from: Data(text.utf8))
        } catch {
            throw corrupt("spec")
        }
    }

    static func corrupt(_ column: String) -> SandboxError {
        SandboxError(
            .storeFailed, "The database holds a \(column) that cannot be read.", hint: "restore it from a backup")
    }
}

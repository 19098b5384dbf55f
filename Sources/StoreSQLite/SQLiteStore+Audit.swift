internal import Foundation
internal import GRDB
internal import SandboxModel
public import Store

extension SQLiteStore: AuditStore {
    public func append(audit rows: [AuditRow], durability: Durability) async throws {
        try await shieldedWrite(durability) { db in
            let statement = try db.cachedStatement(sql: AuditSQL.insert)
            for row in rows { try statement.execute(arguments: AuditSQL.arguments(row)) }
        }
    }

    public func auditStart() async throws -> AuditAnchor {
        try await read { db in try Self.start(db) }
    }

    public func auditHead() async throws -> AuditAnchor {
        try await read { db in
            let row = try Row.fetchOne(db, sql: "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")
            return try row.map(Self.anchor) ?? Self.start(db)
        }
    }

    private static func start(_ db: Database) throws -> AuditAnchor {
        guard let row = try Row.fetchOne(db, sql: "SELECT sequence, hash FROM audit_start") else {
            throw SandboxRow.corrupt("start of the audit log")
        }
        return anchor(row)
    }

    private static func anchor(_ row: Row) -> AuditAnchor {
        let hash: Data = row["hash"]
        return AuditAnchor(sequence: row["sequence"], hash: Array(hash))
    }

    public func audit(
        _ filter: AuditFilter, before: Int64?, limit: Int
    ) async throws -> [(intent: AuditRow, result: AuditRow?)] {
        var conditions = ["intent IS NULL"]
        var arguments: StatementArguments = []
        if let before {
            conditions.append("sequence < ?")
            arguments += [before]
        }
        if let who = filter.who {
            conditions.append("who = ?")
            arguments += [who]
        }
        if let target = filter.target {
            // A creation has its target in the result only.
            conditions.append(
                "(target = ? OR EXISTS (SELECT 1 FROM audit r WHERE r.intent = audit.sequence AND r.target = ?))")
            arguments += [target, target]
        }
        let sql = """
            SELECT * FROM audit WHERE \(conditions.joined(separator: " AND ")) ORDER BY sequence DESC LIMIT ?
            """
        arguments += [limit]
        let wanted = arguments
        return try await read { db in
            try Row.fetchAll(db, sql: sql, arguments: wanted).map { row in
                let intent = try AuditSQL.row(row)
                let result = try Row.fetchOne(
                    db, sql: "SELECT * FROM audit WHERE intent = ?", arguments: [intent.sequence])
                return (intent, try result.map(AuditSQL.row))
            }
        }
    }

    public func auditRows(after sequence: Int64, limit: Int) async throws -> [AuditRow] {
        try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?",
                arguments: [sequence, limit]
            ).map(AuditSQL.row)
        }
    }

    public func forgetAudit(through sequence: Int64) async throws {
        try await shieldedWrite(.process) { db in
            try db.execute(
                sql: """
                    UPDATE audit_start SET (sequence, hash) = (SELECT sequence, hash FROM audit WHERE sequence = ?) \
                    WHERE EXISTS (SELECT 1 FROM audit WHERE sequence = ?)
                    """, arguments: [sequence, sequence])
            try db.execute(
                sql: "DELETE FROM audit WHERE sequence <= (SELECT sequence FROM audit_start)")
        }
    }
}

extension SQLiteStore {
    /// Has no effect inside a transaction, so it stands before it; it is this connection's setting only.
    static func setDurability(_ durability: Durability, _ db: Database) throws {
        try db.execute(sql: durability == .device ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
    }
}

/// A row of `audit`, both ways.
private enum AuditSQL {
    static let insert = """
        INSERT INTO audit (sequence, at, intent, request, who, label, origin, method, route, target, status, code, \
        microseconds, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """

    static func arguments(_ row: AuditRow) -> StatementArguments {
        let (sequence, at, hash) = (row.sequence, row.at.unixNanoseconds, Data(row.hash))
        switch row.content {
        case .intent(let intent):
            return [
                sequence, at, nil, intent.requestID, intent.who, intent.label, intent.from, intent.method,
                intent.route, intent.target, nil, nil, nil, hash,
            ]
        case .result(let result):
            return [
                sequence, at, result.intent, nil, nil, nil, nil, nil, nil, result.target, result.status, result.code,
                result.microseconds, hash,
            ]
        }
    }

    static func row(_ row: Row) throws -> AuditRow {
        let hash: Data = row["hash"]
        return AuditRow(
            sequence: row["sequence"], at: Timestamp(unixNanoseconds: row["at"]), content: try content(row),
            hash: Array(hash))
    }

    private static func content(_ row: Row) throws -> AuditRow.Content {
        if let intent: Int64 = row["intent"] {
            guard let status: Int = row["status"], let microseconds: Int64 = row["microseconds"] else {
                throw SandboxRow.corrupt("result in the audit log")
            }
            return .result(
                .init(
                    intent: intent, status: status, code: row["code"], microseconds: microseconds, target: row["target"]
                ))
        }
        guard let request: String = row["request"], let who: String = row["who"], let from: String = row["origin"],
            let method: String = row["method"], let route: String = row["route"]
        else { throw SandboxRow.corrupt("intent in the audit log") }
        return .intent(
            .init(
                requestID: request, who: who, label: row["label"], from: from, method: method, route: route,
                target: row["target"]))
    }
}

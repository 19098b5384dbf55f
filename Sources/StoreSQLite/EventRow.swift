internal import Foundation
internal import GRDB
internal import SandboxModel
internal import Store

/// A row of `events`, both ways.
enum EventRow {
    static func append(_ events: [EventDraft], to db: Database, retention: Int64) throws {
        for event in events {
            try db.execute(
                sql: "INSERT INTO events (at, sandbox, name, type, detail) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    event.at.unixNanoseconds, event.sandbox.rawValue, event.name, event.type, try json(event.detail),
                ])
            // Once in a while, so that the bound costs nothing at most insertions.
            if db.lastInsertedRowID % 1000 == 0 { try prune(db, retention: retention) }
        }
    }

    static func prune(_ db: Database, retention: Int64) throws {
        try db.execute(
            sql: "DELETE FROM events WHERE sequence <= (SELECT COALESCE(MAX(sequence), 0) FROM events) - ?",
            arguments: [retention])
    }

    static func fetch(
        after sequence: Int64, sandbox: SandboxID?, limit: Int, from db: Database
    ) throws -> [EventResource] {
        var arguments: StatementArguments = [sequence]
        var condition = "sequence > ?"
        if let sandbox {
            condition += " AND sandbox = ?"
            arguments += [sandbox.rawValue]
        }
        arguments += [limit]
        return try Row.fetchAll(
            db, sql: "SELECT * FROM events WHERE \(condition) ORDER BY sequence LIMIT ?", arguments: arguments
        ).map(event)
    }

    private static func event(_ row: Row) throws -> EventResource {
        let detail: String = row["detail"]
        guard let detail = try? JSONDecoder().decode([String: String].self, from: Data(detail.utf8)) else {
            throw SandboxRow.corrupt("detail")
        }
        return EventResource(
            sequence: row["sequence"], at: Timestamp(unixNanoseconds: row["at"]),
            sandbox: try SandboxRow.identifier(row["sandbox"]), name: row["name"], type: row["type"], detail: detail)
    }

    private static func json(_ detail: [String: String]) throws -> String {
        if detail.isEmpty { return "{}" }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(detail), as: UTF8.self)
    }
}

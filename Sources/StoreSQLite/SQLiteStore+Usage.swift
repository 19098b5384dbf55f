internal import GRDB
public import SandboxModel
public import Store

extension SQLiteStore: UsageStore {
    @discardableResult
    public func meter(_ readings: [UsageReading]) async throws -> UsageAmount {
        if readings.isEmpty { return UsageAmount() }
        return try await write(.process) { db in
            var total = UsageAmount()
            for reading in readings {
                if let amount = try UsageRows.add(reading, to: db) { total += amount }
            }
            return total
        }
    }

    public func usage(
        _ query: UsageQuery, now: Timestamp, cursor: String?, limit: Int
    ) async throws -> UsagePage {
        guard (1...1000).contains(limit) else {
            throw SandboxError(.invalidRequest, "limit must be between 1 and 1000.")
        }
        let after = try cursor.map { try UsageCursor($0, of: query) }
        let found = try await read { db in
            try UsageAnswer(query: query, now: now, db: db).lines(after: after, limit: limit + 1)
        }
        let lines = found.prefix(limit)
        var next: String?
        if found.count > limit, let last = lines.last {
            next = try UsageCursor(query, group: last.group, bucket: last.bucket).text
        }
        return UsagePage(lines: lines.map(\.line), nextCursor: next)
    }

    public func sandbox(everNamed name: String) async throws -> SandboxID? {
        try await read { db in
            try String.fetchOne(
                db, sql: "SELECT sandbox FROM usage_sandboxes WHERE name = ? ORDER BY created_at DESC LIMIT 1",
                arguments: [name]
            ).map(SandboxRow.identifier)
        }
    }

    public func pruneUsage(before oldest: Timestamp) async throws {
        try await write(.process) { db in try UsageRows.prune(before: oldest, in: db) }
    }
}

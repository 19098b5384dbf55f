internal import Foundation
internal import GRDB
internal import SandboxModel
internal import Store

/// Writes what was used: hours with processes, intervals of sleep.
enum UsageRows {
    static let schema = """
        CREATE TABLE usage_sandboxes (
            sandbox TEXT NOT NULL PRIMARY KEY,
            name TEXT,
            created_at INTEGER NOT NULL,
            deleted_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX usage_sandboxes_by_name ON usage_sandboxes (name, created_at);
        CREATE TABLE usage_label_sets (
            id INTEGER PRIMARY KEY,
            labels TEXT NOT NULL UNIQUE
        ) STRICT;
        CREATE TABLE usage_labels (
            set_id INTEGER NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (set_id, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX usage_labels_by_value ON usage_labels (key, value, set_id);
        CREATE TABLE usage_marks (
            sandbox TEXT NOT NULL PRIMARY KEY,
            execution TEXT NOT NULL,
            at INTEGER NOT NULL,
            cpu_ns INTEGER NOT NULL,
            memory INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE usage_hours (
            sandbox TEXT NOT NULL,
            hour INTEGER NOT NULL,
            label_set INTEGER NOT NULL,
            cpu_seconds REAL NOT NULL,
            seconds REAL NOT NULL,
            memory REAL NOT NULL,
            memory_limit REAL NOT NULL,
            PRIMARY KEY (sandbox, hour, label_set)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX usage_hours_by_set ON usage_hours (label_set, hour);
        CREATE TABLE usage_sleeps (
            sandbox TEXT NOT NULL,
            began INTEGER NOT NULL,
            ended INTEGER,
            label_set INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX usage_sleeps_by_sandbox ON usage_sleeps (sandbox, began);
        CREATE INDEX usage_sleeps_by_set ON usage_sleeps (label_set, began);
        CREATE INDEX usage_sleeps_open ON usage_sleeps (sandbox) WHERE ended IS NULL;
        INSERT INTO usage_sandboxes (sandbox, name, created_at) SELECT id, name, created_at FROM sandboxes;
        INSERT INTO usage_marks (sandbox, execution, at, cpu_ns, memory)
            SELECT id, execution, changed_at, 0, 0 FROM sandboxes
            WHERE execution IS NOT NULL AND state IN ('running', 'paused', 'suspending');
        """

    /// After ``schema``: the sleeps that are under way, which need their label sets.
    static func openSleeps(in db: Database) throws {
        let rows = try Row.fetchAll(
            db, sql: "SELECT id, changed_at, checkpoint_bytes FROM sandboxes WHERE checkpoint_current IS NOT NULL")
        for row in rows { try openSleep(row["id"], at: row["changed_at"], bytes: row["checkpoint_bytes"], in: db) }
    }

    // MARK: What changes with a sandbox

    static func created(_ record: SandboxRecord, in db: Database) throws {
        try db.execute(
            sql: "INSERT OR REPLACE INTO usage_sandboxes (sandbox, name, created_at) VALUES (?, ?, ?)",
            arguments: [record.id.rawValue, record.spec.value.name, record.createdAt.unixNanoseconds])
        try changed(record.status, of: record.id, in: db)
    }

    /// A state was recorded: an execution may have begun or ended, memory may have gone to disk or left it.
    static func changed(_ status: SandboxRecord.Status, of id: SandboxID, in db: Database) throws {
        let (sandbox, at) = (id.rawValue, status.changedAt.unixNanoseconds)
        switch status.state {
        case .running:
            guard let execution = status.execution?.rawValue else { break }
            // A mark of the same execution stays: it went on.
            try db.execute(
                sql: """
                    INSERT INTO usage_marks (sandbox, execution, at, cpu_ns, memory) VALUES (?1, ?2, ?3, 0, 0) \
                    ON CONFLICT (sandbox) DO UPDATE SET execution = ?2, at = ?3, cpu_ns = 0, memory = 0 \
                    WHERE execution <> ?2
                    """, arguments: [sandbox, execution, at])
        case .standby, .stopped, .failed:
            try db.execute(sql: "DELETE FROM usage_marks WHERE sandbox = ?", arguments: [sandbox])
        case .creating, .paused, .suspending, .resuming, .stopping: break
        }
        let asleep = try Int64.fetchOne(
            db, sql: "SELECT bytes FROM usage_sleeps WHERE sandbox = ? AND ended IS NULL", arguments: [sandbox])
        switch (asleep, status.checkpoint?.bytes) {
        case (nil, let bytes?): try openSleep(sandbox, at: at, bytes: bytes, in: db)
        case (_?, nil): try closeSleep(sandbox, at: at, in: db)
        case (nil, nil), (_?, _?): break
        }
    }

    /// What it sleeps from now on is used with its new labels.
    static func relabelled(_ id: SandboxID, at: Timestamp, in db: Database) throws {
        let open = try Int64.fetchOne(
            db, sql: "SELECT bytes FROM usage_sleeps WHERE sandbox = ? AND ended IS NULL", arguments: [id.rawValue])
        guard let bytes = open else { return }
        try closeSleep(id.rawValue, at: at.unixNanoseconds, in: db)
        try openSleep(id.rawValue, at: at.unixNanoseconds, bytes: bytes, in: db)
    }

    static func removed(_ id: SandboxID, at: Timestamp, in db: Database) throws {
        try closeSleep(id.rawValue, at: at.unixNanoseconds, in: db)
        try db.execute(sql: "DELETE FROM usage_marks WHERE sandbox = ?", arguments: [id.rawValue])
        try db.execute(
            sql: "UPDATE usage_sandboxes SET deleted_at = ? WHERE sandbox = ?",
            arguments: [at.unixNanoseconds, id.rawValue])
    }

    private static func openSleep(_ sandbox: String, at: Int64, bytes: Int64, in db: Database) throws {
        try db.execute(
            sql: "INSERT INTO usage_sleeps (sandbox, began, label_set, bytes) VALUES (?, ?, ?, ?)",
            arguments: [sandbox, at, try labelSet(of: sandbox, in: db), bytes])
    }

    private static func closeSleep(_ sandbox: String, at: Int64, in db: Database) throws {
        try db.execute(
            sql: "UPDATE usage_sleeps SET ended = MAX(began, ?) WHERE sandbox = ? AND ended IS NULL",
            arguments: [at, sandbox])
    }

    /// The set of the labels that a sandbox has now.
    static func labelSet(of sandbox: String, in db: Database) throws -> Int64 {
        let rows = try Row.fetchAll(
            db, sql: "SELECT key, value FROM labels WHERE sandbox = ? ORDER BY key", arguments: [sandbox])
        let labels = rows.map { row -> [String] in [row["key"], row["value"]] }
        let text = String(decoding: try JSONEncoder().encode(labels), as: UTF8.self)
        let known = try Int64.fetchOne(
            db, sql: "SELECT id FROM usage_label_sets WHERE labels = ?", arguments: [text])
        if let known { return known }
        try db.execute(sql: "INSERT INTO usage_label_sets (labels) VALUES (?)", arguments: [text])
        let id = db.lastInsertedRowID
        for label in labels {
            try db.execute(
                sql: "INSERT INTO usage_labels (set_id, key, value) VALUES (?, ?, ?)",
                arguments: [id, label[0], label[1]])
        }
        return id
    }

    // MARK: Readings

    /// Adds what was used since the reading before.
    ///
    /// - Returns: What was added; `nil` if the execution is over.
    static func add(_ reading: UsageReading, to db: Database) throws -> UsageAmount? {
        let mark = try Row.fetchOne(
            db, sql: "SELECT at, cpu_ns, memory FROM usage_marks WHERE sandbox = ? AND execution = ?",
            arguments: [reading.sandbox.rawValue, reading.execution.rawValue])
        guard let mark else { return nil }
        let (began, cpuBefore, memoryBefore): (Int64, Int64, Int64) = (mark["at"], mark["cpu_ns"], mark["memory"])
        let end = reading.at.unixNanoseconds
        // A clock that was set back counts nothing, one that was set forward no more than has passed.
        var seconds = max(0, Double(end - began) / 1e9)
        if let elapsed = reading.elapsed { seconds = min(seconds, elapsed + 1) }
        let cpu = max(cpuBefore, reading.cpuNanoseconds.map { Int64(clamping: $0) } ?? cpuBefore)
        let memory = reading.memoryBytes.map { Int64(clamping: $0) } ?? memoryBefore
        var amount = UsageAmount()
        amount.cpuSeconds = Double(cpu - cpuBefore) / 1e9
        amount.runningSeconds = seconds
        // The first reading of an execution knows no other.
        let mean = memoryBefore == 0 ? Double(memory) : (Double(memory) + Double(memoryBefore)) / 2
        amount.memoryByteSeconds = mean * seconds
        amount.limitByteSeconds = Double(reading.limitBytes) * seconds
        let set = try labelSet(of: reading.sandbox.rawValue, in: db)
        for (hour, share) in shares(from: end - Int64(seconds * 1e9), to: end) {
            try db.execute(
                sql: """
                    INSERT INTO usage_hours (sandbox, hour, label_set, cpu_seconds, seconds, memory, memory_limit) \
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sandbox, hour, label_set) DO UPDATE SET \
                    cpu_seconds = cpu_seconds + excluded.cpu_seconds, seconds = seconds + excluded.seconds, \
                    memory = memory + excluded.memory, memory_limit = memory_limit + excluded.memory_limit
                    """,
                arguments: [
                    reading.sandbox.rawValue, hour, set, amount.cpuSeconds * share, seconds * share,
                    amount.memoryByteSeconds * share, amount.limitByteSeconds * share,
                ])
        }
        try db.execute(
            sql: "UPDATE usage_marks SET at = ?, cpu_ns = ?, memory = ? WHERE sandbox = ?",
            arguments: [end, cpu, memory, reading.sandbox.rawValue])
        return amount
    }

    static let hour: Int64 = 3_600_000_000_000

    /// The hours that an interval touches, each with its share of it.
    static func shares(from: Int64, to: Int64) -> [(hour: Int64, share: Double)] {
        guard to > from else { return [(floor(to), 1)] }
        var result: [(Int64, Double)] = []
        var begin = from
        while begin < to {
            let next = min(to, (floor(begin) + 1) * hour)
            result.append((floor(begin), Double(next - begin) / Double(to - from)))
            begin = next
        }
        return result
    }

    /// The hour of a time.
    private static func floor(_ nanoseconds: Int64) -> Int64 {
        nanoseconds >= 0 ? nanoseconds / hour : (nanoseconds - hour + 1) / hour
    }

    // MARK: Forgetting

    static func prune(before oldest: Timestamp, in db: Database) throws {
        let end = oldest.unixNanoseconds
        try db.execute(sql: "DELETE FROM usage_hours WHERE hour < ?", arguments: [end / hour])
        try db.execute(sql: "DELETE FROM usage_sleeps WHERE ended < ?", arguments: [end])
        try db.execute(
            sql: """
                DELETE FROM usage_sandboxes WHERE deleted_at < ? \
                AND NOT EXISTS (SELECT 1 FROM usage_hours WHERE sandbox = usage_sandboxes.sandbox) \
                AND NOT EXISTS (SELECT 1 FROM usage_sleeps WHERE sandbox = usage_sandboxes.sandbox)
                """, arguments: [end])
        try db.execute(
            sql: """
                DELETE FROM usage_label_sets WHERE NOT EXISTS \
                (SELECT 1 FROM usage_hours WHERE label_set = usage_label_sets.id) \
                AND NOT EXISTS (SELECT 1 FROM usage_sleeps WHERE label_set = usage_label_sets.id)
                """)
        try db.execute(
            sql: "DELETE FROM usage_labels WHERE set_id NOT IN (SELECT id FROM usage_label_sets)")
    }
}

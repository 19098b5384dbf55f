internal import GRDB
internal import SandboxModel

/// The database's schema. A migration, once released, never changes; a new one is added.
enum Schema {
    static func bringUpToDate(_ pool: DatabasePool) throws {
        let migrator = migrator()
        if try pool.read(migrator.hasBeenSuperseded) {
            throw SandboxError(
                .storeFailed, "The database was written by a newer version of Nightjar.",
                hint: "run that version, or one that is newer still")
        }
        try migrator.migrate(pool)
    }

    static func migrator() -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 sandboxes, events, idempotency") { db in
            try db.execute(sql: first)
        }
        migrator.registerMigration("audit log") { db in
            try db.execute(sql: audit)
        }
        migrator.registerMigration("api keys") { db in
            try db.execute(sql: keys)
        }
        migrator.registerMigration("usage") { db in
            try db.execute(sql: UsageRows.schema)
            try UsageRows.openSleeps(in: db)
        }
        return migrator
    }

    /// Times are nanoseconds since 1970.
    private static let first = """
        CREATE TABLE sandboxes (
            id TEXT NOT NULL PRIMARY KEY,
            name TEXT UNIQUE,
            created_at INTEGER NOT NULL,
            spec TEXT NOT NULL,
            template_version TEXT NOT NULL,
            isolation TEXT NOT NULL,
            init_layer TEXT NOT NULL,
            state TEXT NOT NULL,
            changed_at INTEGER NOT NULL,
            last_active_at INTEGER NOT NULL,
            execution TEXT,
            boot TEXT NOT NULL,
            checkpoint_current INTEGER,
            checkpoint_bytes INTEGER,
            checkpoint_generation INTEGER NOT NULL,
            wakes INTEGER NOT NULL,
            deleting INTEGER NOT NULL,
            problem_code TEXT,
            problem_message TEXT,
            problem_at INTEGER
        ) STRICT;
        CREATE INDEX sandboxes_by_age ON sandboxes (created_at, id);
        CREATE INDEX sandboxes_by_state ON sandboxes (state, created_at, id);
        CREATE TABLE labels (
            sandbox TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (sandbox, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX labels_by_value ON labels (key, value, sandbox);
        CREATE TABLE idempotency (
            key TEXT NOT NULL PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            sandbox TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX idempotency_by_age ON idempotency (created_at);
        CREATE INDEX idempotency_by_sandbox ON idempotency (sandbox);
        CREATE TABLE events (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            sandbox TEXT NOT NULL,
            name TEXT,
            type TEXT NOT NULL,
            detail TEXT NOT NULL
        ) STRICT;
        CREATE INDEX events_by_sandbox ON events (sandbox, sequence);
        """

    /// `scopes` are names with a space between them; `digest` is SHA-256 of the key.
    private static let keys = """
        CREATE TABLE api_keys (
            id TEXT NOT NULL PRIMARY KEY,
            label TEXT,
            scopes TEXT NOT NULL,
            digest BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER
        ) STRICT, WITHOUT ROWID;
        """

    /// A row with `intent` is the result of that row, another one is an intent. The triggers let rows only be added at
    /// the end and be forgotten from the beginning, up to `audit_start`, which moves only forward.
    private static let audit = """
        CREATE TABLE audit (
            sequence INTEGER NOT NULL PRIMARY KEY,
            at INTEGER NOT NULL,
            intent INTEGER,
            request TEXT,
            who TEXT,
            label TEXT,
            origin TEXT,
            method TEXT,
            route TEXT,
            target TEXT,
            status INTEGER,
            code TEXT,
            microseconds INTEGER,
            hash BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX audit_results ON audit (intent) WHERE intent IS NOT NULL;
        CREATE TABLE audit_start (
            one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
            sequence INTEGER NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;
        INSERT INTO audit_start (one, sequence, hash) VALUES (1, 0, zeroblob(32));
        CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
        WHEN NEW.sequence <> (
            SELECT COALESCE((SELECT MAX(sequence) FROM audit), (SELECT sequence FROM audit_start)) + 1)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_is_forgotten_from_its_beginning BEFORE DELETE ON audit
        WHEN OLD.sequence > (SELECT sequence FROM audit_start)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_start_moves_forward BEFORE UPDATE ON audit_start
        WHEN NEW.sequence < OLD.sequence
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_start_stays BEFORE DELETE ON audit_start
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        """
}

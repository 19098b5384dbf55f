import Foundation
import Logging
import SandboxModel
import Store
import StoreSQLite
import Synchronization
import Testing

@testable import Access

@Suite(.timeLimit(.minutes(5)))
struct AuditLogTests {
    private final class Scratch: Sendable {
        let path = NSTemporaryDirectory() + "nightjar-audit-\(randomToken(10)).sqlite"
        deinit {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
    }

    private let scratch = Scratch()

    /// Runs a log for `body` and ends it in order.
    private func withLog<R: Sendable>(
        retention: Int64 = 1000, _ body: @escaping @Sendable (AuditLog, SQLiteStore) async throws -> R
    ) async throws -> R {
        let store = try SQLiteStore(path: scratch.path)
        let log = AuditLog(
            store: store, retention: retention, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) {
            Timestamp(unixNanoseconds: 5_000_000_000)
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await log.run() }
            let result = try await body(log, store)
            group.cancelAll()
            try await group.waitForAll()
            try store.close()
            return result
        }
    }

    private func intent(_ target: String?, who: String = "key_x") -> AuditRow.Intent {
        .init(
            requestID: "req", who: who, label: "l", from: "127.0.0.1:9", method: "POST", route: "/r", target: target)
    }

    private func page(_ log: AuditLog, _ filter: AuditFilter = .init()) async throws -> [AuditResource] {
        try await log.page(filter, cursor: nil, limit: 1000).items
    }

    @Test func `an intent is there when it is acknowledged, a result a moment later`() async throws {
        try await withLog { log, store in
            let number = try await log.begin(intent("work"))
            let before = try #require(try await page(log).first)
            #expect(before.sequence == number && before.target == "work" && before.status == nil)
            log.end(number, status: 409, code: "name_taken", target: nil, duration: .milliseconds(3))
            while try await page(log).first?.status == nil { try await Task.sleep(for: .milliseconds(5)) }
            let after = try #require(try await page(log).first)
            #expect(after.status == 409 && after.code == "name_taken" && after.durationMs == 3)
            #expect(try await log.verify().intact)
        }
        // The end of the server writes what is left.
        try await withLog { log, _ in
            log.end(try await log.begin(intent(nil)), status: 201, code: nil, target: "sb_made", duration: .zero)
        }
        try await withLog { log, _ in
            let made = try await page(log, AuditFilter(target: "sb_made"))
            #expect(made.map(\.status) == [201])
            let others = try await page(log, AuditFilter(who: "key_y"))
            #expect(others.isEmpty)
            let found = try await log.verify()
            #expect(found.rows == 4)
        }
    }

    @Test func `many at once are all there, in one chain`() async throws {
        try await withLog(retention: 100_000) { log, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<16 {
                    group.addTask {
                        for index in 0..<100 {
                            let number = try await log.begin(intent("\(task)-\(index)"))
                            log.end(number, status: 200, code: nil, target: nil, duration: .zero)
                        }
                    }
                }
                try await group.waitForAll()
            }
            var targets = Set<String>()
            var cursor: String?
            repeat {
                let page = try await log.page(.init(), cursor: cursor, limit: 77)
                targets.formUnion(page.items.compactMap(\.target))
                cursor = page.nextCursor
            } while cursor != nil
            #expect(targets.count == 1600)
        }
        try await withLog { log, _ in
            let found = try await log.verify()
            #expect(found.intact && found.rows == 3200 && found.headSequence == 3200)
        }
    }

    /// What somebody with the file and another program can do is at least seen.
    @Test func `the database refuses changes, and the chain shows those that were forced`() async throws {
        try await withLog { log, _ in
            for index in 0..<5 { _ = try await log.begin(intent("\(index)")) }
        }
        for statement in [
            "UPDATE audit SET who = 'nobody' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 5",
            "DELETE FROM audit WHERE sequence = 1", "UPDATE audit_start SET sequence = -1",
            "INSERT OR REPLACE INTO audit (sequence, at, hash) VALUES (3, 0, x'00')",
            "INSERT INTO audit (sequence, at, hash) VALUES (9, 0, x'00')", "DELETE FROM audit_start",
        ] {
            #expect(try sqlite(statement).contains("append-only"), "\(statement)")
        }
        let before = try await withLog { log, _ in try await log.verify() }
        #expect(before.intact)
        _ = try sqlite("DROP TRIGGER audit_is_never_changed; UPDATE audit SET who = 'nobody' WHERE sequence = 2")
        try await withLog { log, _ in
            let found = try await log.verify()
            #expect(!found.intact && found.brokenAt == 2)
        }
    }

    @Test func `the oldest are forgotten, and the chain goes on from there`() async throws {
        try await withLog(retention: 100) { log, _ in
            for index in 0..<5200 {
                // Most are not waited for, so that they go in large transactions.
                log.end(Int64(index + 1_000_000), status: 200, code: nil, target: nil, duration: .zero)
                if index % 100 == 0 { _ = try await log.begin(intent("\(index)")) }
            }
        }
        try await withLog(retention: 100) { log, _ in
            let found = try await log.verify()
            #expect(found.intact && found.rows < 300 && found.headSequence == 5252)
        }
    }

    @Test func `what is asked for after the end is refused`() async throws {
        let log = try await withLog { log, _ in log }
        await #expect(throws: SandboxError.self) { _ = try await log.begin(intent("late")) }
    }

    @Test func `a cursor is what was given, or refused`() async throws {
        try await withLog { log, _ in
            for text in ["", "a", "a0", "a-1", "a01", "b1", "a1 ", "a99999999999999999999", "1"] {
                await #expect(throws: SandboxError.self) { _ = try await log.page(.init(), cursor: text, limit: 10) }
            }
        }
    }

    private func sqlite(_ statement: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import sqlite3,sys\ntry:\n c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()\nexcept sqlite3.Error as e: print(e)",
            scratch.path, statement,
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}

import Foundation
import SandboxModel
import Store
import StoreSQLite
import Testing

@Suite(.timeLimit(.minutes(5)))
struct SQLiteStoreTests {
    /// Goes away with the test.
    private final class Scratch: Sendable {
        let path = NSTemporaryDirectory() + "nightjar-store-\(randomToken(10)).sqlite"
        deinit {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
    }

    private let scratch = Scratch()
    private var path: String { scratch.path }

    private func withStore<R>(retained: Int64 = 1000, _ body: (SQLiteStore) async throws -> R) async throws -> R {
        let store = try SQLiteStore(path: path, retainedEvents: retained)
        defer { try? store.close() }
        return try await body(store)
    }

    private func record(
        _ name: String? = nil, at nanoseconds: Int64 = 1_000, labels: [String: String] = [:],
        state: SandboxState = .running
    ) throws -> SandboxRecord {
        let time = Timestamp(unixNanoseconds: nanoseconds)
        let spec = SandboxSpec(
            name: name, labels: labels, environment: ["A": "ü"],
            lifecycle: LifecyclePolicy(idleTimeout: 3, onIdle: .stop, maxAge: 9, autoResume: false))
        return SandboxRecord(
            id: SandboxID(), spec: try spec.validated(), templateVersion: "v1", isolation: "gvisor", initLayer: "aa",
            createdAt: time, status: .init(state: state, changedAt: time, lastActiveAt: time))
    }

    private func draft(_ record: SandboxRecord, _ type: String) -> EventDraft {
        EventDraft(at: record.createdAt, sandbox: record.id, name: "n", type: type, detail: ["k": "v"])
    }

    @Test func `a record comes back as it was, after a restart too`() async throws {
        var record = try record("one", labels: ["a": "1"])
        try await withStore { store in
            try await store.insert(record, idempotency: nil, events: [], durability: .process)
            record.status = SandboxRecord.Status(
                state: .standby, changedAt: Timestamp(unixNanoseconds: 5), lastActiveAt: Timestamp(unixNanoseconds: 6),
                execution: ExecutionID(), boot: "b", checkpoint: .init(generation: 3, bytes: 7),
                checkpointGeneration: 4,
                wakes: 5, problem: ProblemResource(code: .memoryLost, message: "m", at: Timestamp(unixNanoseconds: 8)))
            record.initLayer = "bb"
            #expect(
                try await store.setStatus(
                    record.status, initLayer: "bb", of: record.id, events: [draft(record, "t")], durability: .device))
            #expect(try await store.sandboxes() == [record])
        }
        try await withStore { store in
            #expect(try await store.sandboxes() == [record])
            let events = try await store.events(after: 0, sandbox: record.id, limit: 10)
            #expect(events.map(\.type) == ["t"])
            #expect(events.first?.detail == ["k": "v"])
        }
    }

    @Test func `names and idempotency keys are unique`() async throws {
        try await withStore { store in
            let key = Idempotency(key: "k", fingerprint: "f")
            let first = try record("one")
            try await store.insert(first, idempotency: key, events: [], durability: .process)
            let second = try record("one")
            await expect(.nameTaken) {
                try await store.insert(second, idempotency: nil, events: [], durability: .process)
            }
            let third = try record()
            await expect(.idempotencyConflict) {
                try await store.insert(third, idempotency: key, events: [], durability: .process)
            }
            // A transaction that failed left nothing.
            #expect(try await store.sandboxes() == [first])
            let found = try await store.sandbox(idempotencyKey: "k", since: Timestamp(unixNanoseconds: 0))
            #expect(found?.id == first.id)
            #expect(found?.fingerprint == "f")
            #expect(try await store.sandbox(idempotencyKey: "k", since: Timestamp(unixNanoseconds: 2_000)) == nil)
            try await store.remove(first.id, events: [], durability: .device)
            #expect(try await store.sandbox(idempotencyKey: "k", since: Timestamp(unixNanoseconds: 0)) == nil)
        }
    }

    @Test func `an idempotency key that is too old is free again`() async throws {
        try await withStore { store in
            let key = Idempotency(key: "k", fingerprint: "f")
            try await store.insert(try record(), idempotency: key, events: [], durability: .process)
            let later = try record(at: Int64(Idempotency.lifetime * 1e9) + 2_000)
            try await store.insert(later, idempotency: key, events: [], durability: .process)
            let found = try await store.sandbox(idempotencyKey: "k", since: Timestamp(unixNanoseconds: 0))
            #expect(found?.id == later.id)
        }
    }

    @Test func `nothing undoes a deletion under way`() async throws {
        try await withStore { store in
            var record = try record()
            try await store.insert(record, idempotency: nil, events: [], durability: .process)
            record.status.deleting = true
            record.status.state = .stopping
            #expect(
                try await store.setStatus(
                    record.status, initLayer: nil, of: record.id, events: [], durability: .process))
            var late = record.status
            late.deleting = false
            late.state = .running
            let stored = try await store.setStatus(
                late, initLayer: nil, of: record.id, events: [draft(record, "late")], durability: .process)
            #expect(!stored)
            #expect(try await store.sandboxes().first?.status.state == .stopping)
            #expect(try await store.events(after: 0, sandbox: nil, limit: 10).isEmpty)
        }
    }

    @Test(arguments: [1, 2, 3, 7, 200])
    func `pages cover everything once, in order`(limit: Int) async throws {
        try await withStore { store in
            var all: [SandboxRecord] = []
            for index in 0..<10 {
                // Several of the same moment: the id decides.
                let record = try record(at: Int64(index / 3))
                all.append(record)
                try await store.insert(record, idempotency: nil, events: [], durability: .process)
            }
            all.sort { ($0.createdAt, $0.id.rawValue) < ($1.createdAt, $1.id.rawValue) }
            var seen: [SandboxID] = []
            var cursor: String?
            repeat {
                let page = try await store.page(SandboxFilter(), cursor: cursor, limit: limit)
                #expect(page.items.count <= limit)
                seen += page.items.map(\.id)
                cursor = page.nextCursor
            } while cursor != nil
            #expect(seen == all.map(\.id))
        }
    }

    @Test func `a page goes on although its last item was deleted`() async throws {
        try await withStore { store in
            let records = try (0..<4).map { try record(at: Int64($0)) }
            for record in records { try await store.insert(record, idempotency: nil, events: [], durability: .process) }
            let first = try await store.page(SandboxFilter(), cursor: nil, limit: 2)
            try await store.remove(records[1].id, events: [], durability: .process)
            let second = try await store.page(SandboxFilter(), cursor: first.nextCursor, limit: 2)
            #expect(second.items.map(\.id) == records[2...].map(\.id))
        }
    }

    @Test func `filters by labels and states`() async throws {
        try await withStore { store in
            let red = try record("red", at: 1, labels: ["color": "red", "size": "s"])
            let blue = try record("blue", at: 2, labels: ["color": "blue", "size": "s"], state: .standby)
            for record in [red, blue] {
                try await store.insert(record, idempotency: nil, events: [], durability: .process)
            }
            func names(_ filter: SandboxFilter) async throws -> [String?] {
                try await store.page(filter, cursor: nil, limit: 10).items.map(\.spec.value.name)
            }
            #expect(try await names(SandboxFilter(labels: ["size": "s"])) == ["red", "blue"])
            #expect(try await names(SandboxFilter(labels: ["size": "s", "color": "blue"])) == ["blue"])
            #expect(try await names(SandboxFilter(labels: ["color": "green"])) == [])
            #expect(try await names(SandboxFilter(states: [.running])) == ["red"])
            #expect(try await names(SandboxFilter(labels: ["color": "red"], states: [.standby])) == [])
            let changed = try await store.changeSpec(of: blue.id, events: []) { current in
                var spec = current.value
                spec.labels = ["color": "red"]
                return (try spec.validated(), true)
            }
            #expect(changed?.0.value.labels == ["color": "red"])
            #expect(try await store.changeSpec(of: SandboxID(), events: []) { ($0, true) } == nil)
            #expect(try await names(SandboxFilter(labels: ["color": "red"])) == ["red", "blue"])
            #expect(try await names(SandboxFilter(labels: ["size": "s"])) == ["red"])
        }
    }

    @Test(arguments: ["", "x", "====", "MS4xLnNi", String(repeating: "A", count: 500), "MS4x%"])
    func `a cursor that was not given out is refused`(cursor: String) async throws {
        try await withStore { store in
            await expect(.invalidCursor) { _ = try await store.page(SandboxFilter(), cursor: cursor, limit: 10) }
        }
    }

    @Test(arguments: [0, -1, 201])
    func `a limit out of bounds is refused`(limit: Int) async throws {
        try await withStore { store in
            await expect(.invalidRequest) { _ = try await store.page(SandboxFilter(), cursor: nil, limit: limit) }
        }
    }

    @Test func `events are numbered without gaps, filtered, and bounded`() async throws {
        try await withStore(retained: 50) { store in
            let (one, two) = (try record(), try record())
            #expect(try await store.latestEvent() == 0)
            for index in 0..<120 { try await store.append([draft(index.isMultiple(of: 2) ? one : two, "e\(index)")]) }
            #expect(try await store.latestEvent() == 120)
            #expect(try await store.events(after: 0, sandbox: nil, limit: 500).map(\.sequence) == Array(1...120))
            let some = try await store.events(after: 100, sandbox: two.id, limit: 3)
            #expect(some.map(\.sequence) == [102, 104, 106])
            try await store.prune(idempotencyBefore: Timestamp(unixNanoseconds: 0))
            #expect(try await store.events(after: 0, sandbox: nil, limit: 500).map(\.sequence) == Array(71...120))
            // Numbers are never used again.
            try await store.append([draft(one, "next")])
            #expect(try await store.latestEvent() == 121)
        }
    }

    @Test func `the events stay bounded without anybody pruning them`() async throws {
        try await withStore(retained: 50) { store in
            let record = try record()
            let drafts = (0..<1500).map { draft(record, "e\($0)") }
            try await store.append(drafts)
            let kept = try await store.events(after: 0, sandbox: nil, limit: 5000)
            #expect(kept.count <= 1050)
            #expect(kept.last?.sequence == 1500)
        }
    }

    @Test func `a database of a newer version is refused, untouched`() async throws {
        try await withStore { _ in }
        let sqlite = URL(fileURLWithPath: "/usr/bin/env")
        let process = Process()
        process.executableURL = sqlite
        process.arguments = [
            "python3", "-c",
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); "
                + "c.execute(\"insert into grdb_migrations values ('999 from the future')\"); c.commit()", path,
        ]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        #expect {
            try SQLiteStore(path: path)
        } throws: { error in
            (error as? SandboxError)?.code == .storeFailed
                && (error as? SandboxError)?.message.contains("newer") == true
        }
    }

    @Test func `a file that is no database is refused`() async throws {
        try Data("hello hello hello hello hello hello".utf8).write(to: URL(fileURLWithPath: path))
        await expect(.storeFailed) { _ = try SQLiteStore(path: path) }
    }

    @Test func `many writers at once lose nothing`() async throws {
        try await withStore { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<100 {
                    let record = try record("s\(index)", at: Int64(index))
                    group.addTask {
                        try await store.insert(
                            record, idempotency: nil, events: [draft(record, "created")],
                            durability: index.isMultiple(of: 2) ? .device : .process)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.sandboxes().count == 100)
            #expect(try await store.latestEvent() == 100)
        }
    }

    @Test func `only the owner can read the file`() async throws {
        try await withStore { _ in
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? Int) == 0o600)
        }
    }

    private func expect(
        _ code: SandboxError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
    ) async {
        do {
            try await body()
            Issue.record("no error", sourceLocation: sourceLocation)
        } catch {
            #expect((error as? SandboxError)?.code == code, sourceLocation: sourceLocation)
        }
    }
}

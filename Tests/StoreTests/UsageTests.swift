import Foundation
import SandboxModel
import Store
import Testing

@testable import StoreSQLite

/// What sandboxes have used, as the store adds it up.
@Suite struct UsageTests {
    private static let hour: Int64 = 3_600_000_000_000
    /// A whole hour.
    private static let start: Int64 = 500_000 * hour
    private static let gibibyte = Int64(1) << 30

    private func time(_ seconds: Double) -> Timestamp {
        Timestamp(unixNanoseconds: Self.start).adding(seconds: seconds)
    }

    private func withStore(_ body: (SQLiteStore) async throws -> Void) async throws {
        let path = NSTemporaryDirectory() + "nightjar-usage-\(UUID().uuidString).sqlite"
        let store = try SQLiteStore(path: path)
        defer {
            try? store.close()
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        try await body(store)
    }

    /// A running sandbox.
    private func running(
        _ name: String, labels: [String: String] = [:], at: Double = 0, in store: SQLiteStore
    ) async throws -> SandboxRecord {
        let spec = try SandboxSpec(name: name, labels: labels).validated()
        let record = SandboxRecord(
            id: SandboxID(), spec: spec, templateVersion: "v", isolation: "gvisor", initLayer: "l", createdAt: time(at),
            status: .init(
                state: .running, changedAt: time(at), lastActiveAt: time(at), execution: ExecutionID(), boot: "b"))
        try await store.insert(record, idempotency: nil, events: [], durability: .process)
        return record
    }

    private func reading(
        _ record: SandboxRecord, at: Double, cpu: Double?, memory: Int64? = gibibyte, elapsed: Double? = nil,
        execution: ExecutionID? = nil
    ) throws -> UsageReading {
        UsageReading(
            sandbox: record.id, execution: try #require(execution ?? record.status.execution), at: time(at),
            elapsed: elapsed, cpuNanoseconds: cpu.map { UInt64($0 * 1e9) },
            memoryBytes: memory.map { UInt64($0) }, limitBytes: 2 * Self.gibibyte)
    }

    private func lines(
        _ store: SQLiteStore, _ grouping: UsageQuery.Grouping = .sandbox, _ bucket: UsageQuery.Bucket = .all,
        hours: Range<Int64> = 0..<48, labels: [String: String] = [:], now: Double = 0
    ) async throws -> [UsageLine] {
        let first = Self.start / Self.hour
        let query = UsageQuery(
            hours: (first + hours.lowerBound)..<(first + hours.upperBound), grouping: grouping, bucket: bucket,
            labels: labels)
        return try await store.usage(query, now: time(now), cursor: nil, limit: 1000).lines
    }

    @Test func `CPU is counted once, whoever reads and however often`() async throws {
        try await withStore { store in
            let one = try await running("one", in: store)
            try await store.meter([try reading(one, at: 10, cpu: 2)])
            // The same again, an older one that comes late, and one after a restart of the server.
            try await store.meter([try reading(one, at: 10, cpu: 2), try reading(one, at: 10, cpu: 1)])
            try await store.meter([try reading(one, at: 40, cpu: 5)])
            let line = try #require(try await lines(store).first)
            #expect(line.amount.cpuSeconds == 5)
            #expect(line.amount.runningSeconds == 40)
            #expect(line.amount.memoryByteSeconds == 40 * Double(Self.gibibyte))
            #expect(line.amount.limitByteSeconds == 80 * Double(Self.gibibyte))
        }
    }

    @Test func `an execution that is over adds nothing any more, and the next one begins from nothing`() async throws {
        try await withStore { store in
            let one = try await running("one", in: store)
            try await store.meter([try reading(one, at: 10, cpu: 3)])
            var status = one.status
            (status.state, status.changedAt, status.execution) = (.stopped, time(10), nil)
            _ = try await store.setStatus(status, initLayer: nil, of: one.id, events: [], durability: .process)
            try await store.meter([try reading(one, at: 20, cpu: 9)])
            let second = ExecutionID()
            (status.state, status.changedAt, status.execution) = (.running, time(30), second)
            _ = try await store.setStatus(status, initLayer: nil, of: one.id, events: [], durability: .process)
            try await store.meter([
                try reading(one, at: 40, cpu: 9), try reading(one, at: 40, cpu: 1, execution: second),
            ])
            let line = try #require(try await lines(store).first)
            #expect(line.amount.cpuSeconds == 4)
            #expect(line.amount.runningSeconds == 20)
        }
    }

    @Test func `an interval is shared among its hours, and days are made of hours`() async throws {
        try await withStore { store in
            let one = try await running("one", at: 3000, in: store)
            try await store.meter([try reading(one, at: 4200, cpu: 12)])
            let hours = try await lines(store, .sandbox, .hour)
            #expect(hours.map(\.amount.runningSeconds) == [600, 600])
            #expect(hours.map(\.amount.cpuSeconds) == [6, 6])
            #expect(hours.map(\.from) == [time(0), time(3600)])
            #expect(try await lines(store, .sandbox, .hour, hours: 1..<2).map(\.amount.cpuSeconds) == [6])
            let days = try await lines(store, .total, .day)
            #expect(days.map(\.amount.cpuSeconds).reduce(0, +) == 12)
        }
    }

    @Test func `sleep is computed from its interval, up to now, and over the end of the sandbox`() async throws {
        try await withStore { store in
            let one = try await running("one", in: store)
            var status = one.status
            (status.state, status.changedAt, status.execution) = (.standby, time(1800), nil)
            status.checkpoint = .init(generation: 1, bytes: Self.gibibyte)
            _ = try await store.setStatus(status, initLayer: nil, of: one.id, events: [], durability: .device)
            // Recorded again: the same sleep.
            _ = try await store.setStatus(status, initLayer: nil, of: one.id, events: [], durability: .process)
            let early = try await lines(store, .sandbox, .hour, now: 7200)
            #expect(early.map(\.amount.standbySeconds) == [1800, 3600])
            #expect(early.map(\.amount.standbyByteSeconds) == [1800, 3600].map { $0 * Double(Self.gibibyte) })
            let end = EventDraft(at: time(9000), sandbox: one.id, name: nil, type: "sandbox.deleted")
            try await store.remove(one.id, events: [end], durability: .device)
            let late = try #require(try await lines(store, now: 100_000).first)
            #expect(late.amount.standbySeconds == 7200)
            #expect(late.name == "one")
            #expect(late.deletedAt == time(9000))
            #expect(try await store.sandbox(everNamed: "one") == one.id)
        }
    }

    @Test func `use belongs to the labels of its time, and all groups together are the total`() async throws {
        try await withStore { store in
            let one = try await running("one", labels: ["tenant": "a"], in: store)
            let two = try await running("two", labels: ["tenant": "b", "x": "1"], in: store)
            let three = try await running("three", in: store)
            try await store.meter([
                try reading(one, at: 10, cpu: 1), try reading(two, at: 10, cpu: 2), try reading(three, at: 10, cpu: 4),
            ])
            _ = try await store.changeSpec(of: one.id, events: []) { current in
                var spec = current.value
                spec.labels = ["tenant": "b"]
                return (try spec.validated(), true)
            }
            try await store.meter([try reading(one, at: 20, cpu: 9)])
            let byTenant = try await lines(store, .label("tenant"))
            #expect(byTenant.map(\.labelValue) == [nil, "a", "b"])
            #expect(byTenant.map(\.amount.cpuSeconds) == [4, 1, 10])
            #expect(try await lines(store, .total).map(\.amount.cpuSeconds) == [15])
            #expect(try await lines(store, .total, labels: ["tenant": "b", "x": "1"]).map(\.amount.cpuSeconds) == [2])
        }
    }

    @Test func `a clock that jumps counts no more than has passed`() async throws {
        try await withStore { store in
            let one = try await running("one", at: 100, in: store)
            try await store.meter([try reading(one, at: 110, cpu: 1)])
            try await store.meter([try reading(one, at: 86_400 * 3, cpu: 2, elapsed: 10)])
            try await store.meter([try reading(one, at: 50, cpu: 3, elapsed: 10)])
            try await store.meter([try reading(one, at: 60, cpu: 4, elapsed: 10)])
            let line = try #require(try await lines(store, hours: -24..<100).first)
            #expect(line.amount.runningSeconds <= 31)
            #expect(line.amount.cpuSeconds == 4)
        }
    }

    @Test(arguments: [UsageQuery.Grouping.sandbox, .label("tenant")])
    func `pages give each line once, in order`(grouping: UsageQuery.Grouping) async throws {
        try await withStore { store in
            for index in 0..<7 {
                let record = try await running("s\(index)", labels: ["tenant": "t\(index)"], in: store)
                for step in 1...3 { try await store.meter([try reading(record, at: Double(step) * 3600, cpu: 1)]) }
            }
            let first = Self.start / Self.hour
            let query = UsageQuery(hours: first..<(first + 10), grouping: grouping, bucket: .hour)
            let whole = try await store.usage(query, now: time(0), cursor: nil, limit: 1000).lines
            #expect(whole.count >= 21)
            for limit in [1, 2, 5, whole.count] {
                var (found, cursor): ([UsageLine], String?) = ([], nil)
                repeat {
                    let page = try await store.usage(query, now: time(0), cursor: cursor, limit: limit)
                    found += page.lines
                    cursor = page.nextCursor
                } while cursor != nil
                #expect(found == whole, "\(limit)")
            }
            var other = query
            other.bucket = .day
            let cursor = try await store.usage(query, now: time(0), cursor: nil, limit: 1).nextCursor
            await #expect(throws: SandboxError.self) {
                try await store.usage(other, now: self.time(0), cursor: cursor, limit: 1)
            }
            for bad in ["", "x", "e30", "MS4x", String(repeating: "A", count: 5000)] {
                await #expect(throws: SandboxError.self) {
                    try await store.usage(query, now: self.time(0), cursor: bad, limit: 1)
                }
            }
        }
    }

    @Test func `what is old is forgotten`() async throws {
        try await withStore { store in
            let one = try await running("one", labels: ["a": "b"], in: store)
            try await store.meter([try reading(one, at: 10, cpu: 1)])
            let end = EventDraft(at: time(20), sandbox: one.id, name: nil, type: "sandbox.deleted")
            try await store.remove(one.id, events: [end], durability: .process)
            try await store.pruneUsage(before: time(-10))
            #expect(try await lines(store).count == 1)
            try await store.pruneUsage(before: time(7200))
            #expect(try await lines(store).isEmpty)
            #expect(try await store.sandbox(everNamed: "one") == nil)
        }
    }

    @Test func `a thousand that sleep are answered quickly`() async throws {
        try await withStore { store in
            for index in 0..<1000 {
                let record = try await running("s\(index)", labels: ["tenant": "t\(index % 10)"], in: store)
                var status = record.status
                (status.state, status.changedAt, status.execution) = (.standby, time(10), nil)
                status.checkpoint = .init(generation: 1, bytes: 1000)
                _ = try await store.setStatus(status, initLayer: nil, of: record.id, events: [], durability: .process)
            }
            let clock = ContinuousClock()
            let began = clock.now
            #expect(try await lines(store, .sandbox, now: 3600).count == 1000)
            #expect(try await lines(store, .label("tenant"), .hour, now: 3600).count == 10)
            #expect(clock.now - began < .seconds(10))
        }
    }
}

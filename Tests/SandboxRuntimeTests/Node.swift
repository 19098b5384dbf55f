import Foundation
import GuestClient
import Logging
import SandboxImages
import SandboxModel
import SandboxStorage
import Store
import StoreSQLite
import Synchronization
import Testing

@testable import SandboxRuntime

func writeText(_ text: String, to path: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
func readText(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
}

/// A clock that goes on when it is told to.
final class ManualClock: RuntimeClock {
    private let elapsed = Mutex<Int64>(0)
    /// How far the time of day is from what has passed.
    private let shift = Mutex<Int64>(0)
    var now: Timestamp {
        Timestamp(unixNanoseconds: 1_800_000_000_000_000_000 + elapsed.withLock { $0 } + shift.withLock { $0 })
    }
    var moment: Moment { Moment(nanoseconds: 1_000_000_000_000 + elapsed.withLock { $0 }) }
    func advance(_ seconds: Double) { elapsed.withLock { $0 += Int64(seconds * 1e9) } }
    /// Sets the time of day.
    func jump(_ seconds: Double) { shift.withLock { $0 += Int64(seconds * 1e9) } }
    /// The supervisor's loop: tests look at the sandboxes by themselves.
    func sleep(for duration: Duration) async throws { try await Task.sleep(for: .seconds(3600)) }
}

/// A machine with a data directory, and servers that come and go on it.
final class Node: Sendable {
    let path: String
    let world = FakeWorld()
    let clock = ManualClock()

    init() throws {
        path = NSTemporaryDirectory() + "nightjar-runtime-\(randomToken(10))"
        let version = path + "/templates/base/versions/v1"
        try FileManager.default.createDirectory(atPath: version + "/rootfs", withIntermediateDirectories: true)
        try writeText(
            """
            {"name": "base", "version": "v1", "created_at": "2026-01-01T00:00:00Z", "description": "a test",
             "default_user": "agent", "working_directory": "/workspace", "environment": {"A": "1", "B": "1"},
             "size_bytes": 1, "isolation": ["gvisor"]}
            """, to: version + "/template.json")
        try FileManager.default.createSymbolicLink(
            atPath: path + "/templates/base/current", withDestinationPath: "versions/v1")
        try writeText("init", to: path + "/init-binary")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Runs a server while `body` runs, then ends it as a kill does: the sandboxes' processes stay.
    func serve<R: Sendable>(
        boot: String = "boot-1", version: String = "1", ready: Bool = true, drivers: [String: FakeDriver] = [:],
        _ change: (inout RuntimeConfiguration) -> Void = { _ in },
        _ body: @Sendable (SandboxRuntime) async throws -> R
    ) async throws -> R {
        var configuration = RuntimeConfiguration(initBinary: path + "/init-binary")
        configuration.bootID = boot
        configuration.reservedSpace = 0
        configuration.stopGrace = .milliseconds(100)
        configuration.guestDeadline = .seconds(20)
        configuration.metadataPort = nil
        change(&configuration)
        let directory = try DataDirectory(path: path)
        let store = try CheckingStore(SQLiteStore(path: directory.databasePath))
        let runtime = SandboxRuntime(
            store: store, usage: store,
            drivers: ["gvisor": FakeDriver(world: world, version: version)].merging(drivers) { $1 },
            storage: directory, images: TemplateStore(directory: directory), configuration: configuration,
            logger: quiet, clock: clock)
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                try await runtime.run()
                return nil
            }
            if ready { try await eventually("the server is ready") { runtime.isReady } }
            defer { group.cancelAll() }
            let result = try await body(runtime)
            #expect(store.violations == [])
            #expect(world.state.withLock { $0.violations } == [])
            return result
        }
    }

    /// The processes of a sandbox.
    func processes(_ sandbox: SandboxResource) -> FakeProcesses? {
        world.processes.first { $0.upper.contains(sandbox.id.rawValue) }
    }

    func sandboxPath(_ sandbox: SandboxResource) -> String { "\(path)/sandboxes/\(sandbox.id)" }
}

/// The real store, which also holds every recorded change of state to the table.
final class CheckingStore: SandboxStore {
    private let base: SQLiteStore
    /// How many readings of use were written.
    let metered = Atomic<Int>(0)
    private let last = Mutex<[SandboxID: SandboxState]>([:])
    private let found = Mutex<[String]>([])
    private let isCut = Mutex(false)
    var violations: [String] { found.withLock { $0 } }

    init(_ base: SQLiteStore) throws { self.base = base }
    deinit { try? base.close() }

    /// From now on nothing is written: the server has died.
    func cutOff() { isCut.withLock { $0 = true } }

    private func check() throws {
        if isCut.withLock({ $0 }) { throw SandboxError(.storeFailed, "cut off") }
    }

    func sandboxes() async throws -> [SandboxRecord] {
        let records = try await base.sandboxes()
        last.withLock { last in for record in records { last[record.id] = record.status.state } }
        return records
    }
    func insert(
        _ record: SandboxRecord, idempotency: Idempotency?, events: [EventDraft], durability: Durability
    ) async throws {
        try check()
        try await base.insert(record, idempotency: idempotency, events: events, durability: durability)
        last.withLock { $0[record.id] = record.status.state }
    }
    func setStatus(
        _ status: SandboxRecord.Status, initLayer: String?, of id: SandboxID, events: [EventDraft],
        durability: Durability
    ) async throws -> Bool {
        try check()
        let before = last.withLock { $0[id] }
        if let before, before != status.state, !before.canBecome(status.state) {
            found.withLock { $0.append("\(before) became \(status.state)") }
        }
        if status.state == .standby, status.checkpoint == nil { found.withLock { $0.append("standby without memory") } }
        let stored = try await base.setStatus(
            status, initLayer: initLayer, of: id, events: events, durability: durability)
        if stored { last.withLock { $0[id] = status.state } }
        return stored
    }
    func changeSpec<R: Sendable>(
        of id: SandboxID, events: [EventDraft],
        _ change: @escaping @Sendable (ValidatedSpec) throws -> (ValidatedSpec, R)
    ) async throws -> (ValidatedSpec, R)? {
        try await base.changeSpec(of: id, events: events, change)
    }
    func remove(_ id: SandboxID, events: [EventDraft], durability: Durability) async throws {
        try check()
        try await base.remove(id, events: events, durability: durability)
    }
    func page(_ filter: SandboxFilter, cursor: String?, limit: Int) async throws -> RecordPage {
        try await base.page(filter, cursor: cursor, limit: limit)
    }
    func sandbox(
        idempotencyKey key: String, since oldest: Timestamp
    ) async throws -> (id: SandboxID, fingerprint: String)? {
        try await base.sandbox(idempotencyKey: key, since: oldest)
    }
    func append(_ events: [EventDraft]) async throws { try await base.append(events) }
    func events(after sequence: Int64, sandbox: SandboxID?, limit: Int) async throws -> [EventResource] {
        try await base.events(after: sequence, sandbox: sandbox, limit: limit)
    }
    func latestEvent() async throws -> Int64 { try await base.latestEvent() }
    func prune(idempotencyBefore oldest: Timestamp) async throws { try await base.prune(idempotencyBefore: oldest) }
}

extension CheckingStore: UsageStore {
    func meter(_ readings: [UsageReading]) async throws -> UsageAmount {
        try check()
        metered.add(readings.count, ordering: .relaxed)
        return try await base.meter(readings)
    }
    func usage(_ query: UsageQuery, now: Timestamp, cursor: String?, limit: Int) async throws -> UsagePage {
        try await base.usage(query, now: now, cursor: cursor, limit: limit)
    }
    func sandbox(everNamed name: String) async throws -> SandboxID? { try await base.sandbox(everNamed: name) }
    func pruneUsage(before oldest: Timestamp) async throws { try await base.pruneUsage(before: oldest) }
}

/// Waits for a condition, for at most ten seconds.
func eventually(
    _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(2))
    }
    Issue.record(what, sourceLocation: sourceLocation)
}

/// The code of the error that `body` throws, if it throws one.
func code(_ body: () async throws -> Void) async -> SandboxError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? SandboxError)?.code
    }
}

internal import Client
internal import Foundation
internal import SandboxModel

/// What sandboxes use at a moment, and between two moments.
struct Usage: Sendable {
    /// A line of `top`.
    struct Row: Encodable, Sendable {
        var id: SandboxID
        var name: String?
        var state: SandboxState
        /// Of one core; `null` if it is not running or only began to.
        var cpuPercent: Double?
        var memoryBytes: UInt64
        /// Inside the sandbox.
        var processes: Int?
        var diskBytes: Int64
        /// Seconds since its last activity.
        var idleSeconds: Double

        enum CodingKeys: String, CodingKey {
            case id, name, state
            case cpuPercent = "cpu_percent"
            case memoryBytes = "memory_bytes"
            case processes
            case diskBytes = "disk_bytes"
            case idleSeconds = "idle_seconds"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(id, forKey: .id)
            try container.encode(name, forKey: .name)
            try container.encode(state, forKey: .state)
            try container.encode(cpuPercent, forKey: .cpuPercent)
            try container.encode(memoryBytes, forKey: .memoryBytes)
            try container.encode(processes, forKey: .processes)
            try container.encode(diskBytes, forKey: .diskBytes)
            try container.encode(idleSeconds, forKey: .idleSeconds)
        }
    }

    private var sandboxes: [(sandbox: SandboxResource, metrics: SandboxMetricsResource?)]
    private var at: ContinuousClock.Instant

    /// Asks for all sandboxes and their metrics, a few at a time. Neither wakes a sandbox nor keeps it awake.
    static func now(_ client: NightjarClient) async throws -> Usage {
        let all = try await client.allSandboxes()
        let metrics = try await withThrowingTaskGroup(of: (SandboxID, SandboxMetricsResource?).self) { group in
            var found: [SandboxID: SandboxMetricsResource] = [:]
            var rest = all.map(\.id)[...]
            func ask() {
                guard let id = rest.popFirst() else { return }
                // One that was deleted meanwhile has no metrics any more.
                group.addTask { (id, try? await client.metrics(id.rawValue)) }
            }
            for _ in 0..<16 { ask() }
            while let (id, metrics) = try await group.next() {
                found[id] = metrics
                ask()
            }
            return found
        }
        return Usage(sandboxes: all.map { ($0, metrics[$0.id]) }, at: .now)
    }

    init(sandboxes: [(sandbox: SandboxResource, metrics: SandboxMetricsResource?)], at: ContinuousClock.Instant) {
        self.sandboxes = sandboxes
        self.at = at
    }

    /// Busiest first, then by name.
    func rows(since before: Usage) -> [Row] {
        let past = Dictionary(before.sandboxes.map { ($0.sandbox.id, $0.metrics) }) { $1 }
        let elapsed = at - before.at
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
        return sandboxes.map { sandbox, metrics in
            var percent: Double?
            if let now = metrics, let then = past[sandbox.id] ?? nil, seconds > 0, sandbox.state == .running {
                // Less than before: it slept between, and counts from its wake.
                let used = now.cpuSeconds >= then.cpuSeconds ? now.cpuSeconds - then.cpuSeconds : now.cpuSeconds
                percent = (used / seconds * 1000).rounded() / 10
            }
            return Row(
                id: sandbox.id, name: sandbox.name, state: sandbox.state, cpuPercent: percent,
                memoryBytes: metrics?.memoryBytes ?? 0, processes: metrics?.guest?.processes,
                diskBytes: metrics?.diskBytes ?? 0,
                idleSeconds: max(0, (Timestamp.now.seconds(since: sandbox.lastActiveAt) * 10).rounded() / 10))
        }.sorted { left, right in
            let (a, b) = (left.cpuPercent ?? -1, right.cpuPercent ?? -1)
            return a != b ? a > b : (left.name ?? left.id.rawValue) < (right.name ?? right.id.rawValue)
        }
    }

    static func table(_ rows: [Row]) -> String {
        Output.table(
            ["ID", "NAME", "STATE", "CPU", "MEMORY", "PROCESSES", "DISK", "IDLE"],
            rows.map { row in
                [
                    row.id.rawValue, row.name ?? "-", row.state.rawValue,
                    row.cpuPercent.map { String(format: "%.1f%%", $0) } ?? "-",
                    Human.bytes(Int64(clamping: row.memoryBytes)), row.processes.map { "\($0)" } ?? "-",
                    Human.bytes(row.diskBytes), Human.age(row.idleSeconds),
                ]
            })
    }
}

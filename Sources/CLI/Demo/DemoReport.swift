internal import SandboxModel
internal import Synchronization

/// What the demonstration says, measures and checks.
final class DemoReport: Sendable {
    struct Figure: Encodable, Sendable {
        var what: String
        var milliseconds: Double
        var samples: Int
    }

    struct Check: Encodable, Sendable {
        var what: String
        var holds: Bool
    }

    struct Result: Encodable, Sendable {
        var sandbox: String
        var figures: [Figure]
        var checks: [Check]
        var memoryBytesAwake: UInt64
        var memoryBytesAsleep: UInt64
        var checkpointBytes: Int64?
        var holds: Bool
        enum CodingKeys: String, CodingKey {
            case sandbox, figures, checks
            case memoryBytesAwake = "memory_bytes_awake"
            case memoryBytesAsleep = "memory_bytes_asleep"
            case checkpointBytes = "checkpoint_bytes"
            case holds
        }
    }

    private struct State {
        var figures: [Figure] = []
        var checks: [Check] = []
    }

    private let state = Mutex(State())
    private let isSpoken: Bool

    init(isSpoken: Bool) { self.isSpoken = isSpoken }

    var figures: [Figure] { state.withLock { $0.figures } }
    var checks: [Check] { state.withLock { $0.checks } }
    var holds: Bool { checks.allSatisfy(\.holds) }

    /// A new chapter, with the command that does the same, if there is one.
    func step(_ text: String, command: String? = nil) {
        say("\n\(text)")
        if let command { say("  $ nightjar \(command)") }
    }

    func tell(_ text: String) { say("  \(text)") }

    func figure(_ what: String, _ milliseconds: Double, samples: Int = 1) {
        state.withLock { $0.figures.append(Figure(what: what, milliseconds: milliseconds, samples: samples)) }
    }

    func check(_ what: String, _ holds: Bool) {
        state.withLock { $0.checks.append(Check(what: what, holds: holds)) }
        say("  \(holds ? "ok    " : "FAILED") \(what)")
    }

    func printTable() {
        let rows = figures.map {
            [$0.what, Human.milliseconds($0.milliseconds), $0.samples == 1 ? "1" : "p50 of \($0.samples)"]
        }
        say("\n" + Output.table(["MEASURED HERE", "TIME", "SAMPLES"], rows))
    }

    private func say(_ text: String) {
        if isSpoken { try? Output.line(text) }
    }
}

import ArgumentParser
import Foundation
import SandboxModel
import Testing

@testable import CLI
@testable import Client

/// What people and programs get to read.
@Suite struct OutputTests {
    @Test func `columns of a table are as wide as their widest cell`() {
        let table = Output.table(["A", "LONG"], [["wide cell", "x"], ["b", ""]])
        #expect(table == "A           LONG\nwide cell   x\nb           ")
    }

    @Test func `quantities are short`() {
        #expect(
            [0, 1023, 1024, 1_572_864, 5 << 40].map { Human.bytes($0) } == [
                "0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB",
            ])
        #expect([-1, 0, 119, 120, 7200, 200_000].map { Human.age($0) } == ["0s", "0s", "119s", "2m", "2h", "2d"])
    }

    @Test func `what a sandbox says cannot steer the terminal`() {
        #expect(Human.plain("a\u{1B}[31mb\rc\u{9B}d\n") == "a [31mb c d ")
        #expect(Human.plain(String(repeating: "x", count: 100), width: 10) == "xxxxxxxxx…")
        #expect(Human.command(["sh", "-c", "a b", ""]) == "sh -c 'a b' ''")
    }

    @Test func `colours are for terminals whose users want them`() {
        #expect(Style.isWanted(onTerminal: true, environment: ["TERM": "xterm"]))
        #expect(!Style.isWanted(onTerminal: false, environment: [:]))
        #expect(!Style.isWanted(onTerminal: true, environment: ["NO_COLOR": "1"]))
        #expect(Style.isWanted(onTerminal: true, environment: ["NO_COLOR": ""]))
        #expect(!Style.isWanted(onTerminal: true, environment: ["TERM": "dumb"]))
        #expect(Style.red.apply("x", false) == "x")
        #expect(Style.red.apply("x", true) == "\u{1B}[31mx\u{1B}[0m")
    }

    @Test func `an error has a message and a hint, or is the interface's JSON`() throws {
        let cause = AnswerError(status: 503, requestID: "req_1", retryable: true)
        let error = SandboxError(.overloaded, "Too much to do.", hint: "try again", cause: cause)
        #expect(
            ErrorReport.text(of: error, format: .table) == "error: Too much to do.\nhint: try again\nrequest id: req_1")
        let json = ErrorReport.text(of: error, format: .json)
        let body = try JSONDecoder().decode(ErrorResource.self, from: Data(json.utf8)).error
        #expect((body.code, body.hint, body.retryable, body.requestID) == (.overloaded, "try again", true, "req_1"))
    }

    @Test func `exit codes are those of the table, and of the command inside`() {
        for row in SandboxError.Code.table {
            #expect(row.code.row.exitCode == row.exitCode)
            #expect((64...78).contains(row.exitCode) || row.exitCode == 127, "\(row.code)")
        }
        let inside = ExitResource(
            code: 143, signal: 15, timedOut: false, cause: .signal, endedAt: .now, cpuSeconds: 0, maxMemoryBytes: 0)
        #expect(ProcessRunner.exit(for: .exited(inside)).rawValue == 143)
        #expect(ProcessRunner.exit(for: .abandoned(signal: 2)).rawValue == 130)
        #expect(ErrorReport.exitCode(reporting: OutputClosed(), format: .table) == 141)
        #expect(ErrorReport.exitCode(reporting: CancellationError(), format: .table) == 130)
        #expect(ErrorReport.exitCode(reporting: ExitCode(9), format: .table) == 9)
    }

    @Test func `JSON has the interface's names and no escaped slashes`() throws {
        #expect(try Output.json(["path": "/a"], pretty: false) == #"{"path":"/a"}"#)
    }
}

/// Trees of processes and sandboxes.
@Suite struct TreeTests {
    @Test func `children hang below their parents, orphans are roots, a ring is cut`() {
        let items: [(id: Int, parent: Int, text: String)] = [
            (1, 0, "init"), (5, 1, "sh"), (7, 5, "sleep"), (6, 1, "cat"), (9, 8, "orphan"), (20, 21, "ring"),
            (21, 20, "other"),
        ]
        let lines = Tree.lines(Tree.forest(items), ascii: true)
        #expect(
            lines == ["init", "|- sh", "|  `- sleep", "`- cat", "orphan", "ring", "`- other"])
        #expect(Tree.lines(Tree.forest(items), ascii: false)[2] == "│  └─ sleep")
    }

    @Test func `a process that is its own parent is shown once`() {
        #expect(Tree.lines(Tree.forest([(id: 1, parent: 1, text: "self")]), ascii: true) == ["self"])
    }
}

/// The lines of `top`.
@Suite struct UsageTests {
    private func sandbox(_ name: String, _ state: SandboxState) -> SandboxResource {
        let time = Timestamp.now
        return SandboxResource(
            id: SandboxID(), name: name, durable: true, state: state, awakeBecause: [], template: "base",
            templateVersion: "v", isolation: "gvisor", labels: [:], lifecycle: .init(), limits: .init(), network: .none,
            createdAt: time, stateChangedAt: time, lastActiveAt: time, idleAt: nil, expiresAt: nil, wakes: 0,
            checkpointBytes: nil, problem: nil)
    }

    private func metrics(_ state: SandboxState, _ cpu: Double) -> SandboxMetricsResource {
        SandboxMetricsResource(
            state: state, cpuSeconds: cpu, memoryBytes: 1 << 20, hostProcesses: 3, diskBytes: 0,
            guest: .init(
                cpuUserSeconds: 0, cpuSystemSeconds: 0, memoryTotalBytes: 0, memoryAvailableBytes: 0, processes: 4,
                uptimeSeconds: 1))
    }

    @Test func `CPU is what was used between two looks, the busiest first`() throws {
        let (busy, idle, asleep) = (sandbox("busy", .running), sandbox("idle", .running), sandbox("asleep", .standby))
        let start = ContinuousClock.now
        let before = Usage(
            sandboxes: [(idle, metrics(.running, 5)), (busy, metrics(.running, 1)), (asleep, metrics(.standby, 0))],
            at: start)
        let after = Usage(
            sandboxes: [(idle, metrics(.running, 5)), (busy, metrics(.running, 4)), (asleep, metrics(.standby, 0))],
            at: start + .seconds(2))
        let rows = after.rows(since: before)
        #expect(rows.map(\.name) == ["busy", "idle", "asleep"])
        #expect(rows.map(\.cpuPercent) == [150, 0, nil])
        let table = Usage.table(rows)
        #expect(table.contains("150.0%") && table.contains("1.0 MiB"))
        let json = try Output.json(rows, pretty: false)
        #expect(json.contains(#""cpu_percent":null"#) && json.contains(#""cpu_percent":150"#))
    }

    @Test func `one that woke between counts from its wake`() {
        let woken = sandbox("woken", .running)
        let start = ContinuousClock.now
        let before = Usage(sandboxes: [(woken, metrics(.running, 100))], at: start)
        let after = Usage(sandboxes: [(woken, metrics(.running, 0.5))], at: start + .seconds(1))
        #expect(after.rows(since: before).map(\.cpuPercent) == [50])
    }
}

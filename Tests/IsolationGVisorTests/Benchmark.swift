import Foundation
import GuestClient
import Isolation
import LinuxSystem
import SandboxModel
import Testing
import Wire

@testable import IsolationGVisor

/// Latencies of the driver beside those of runsc's own commands. Off by default: set `NIGHTJAR_BENCH=1`, and
/// `NIGHTJAR_BENCH_ROOT` to a Debian root for the file workloads.
@Suite(.serialized, .enabled(if: Host.isReady && ProcessInfo.processInfo.environment["NIGHTJAR_BENCH"] != nil))
struct Benchmark {
    private static let samples = 25
    private static let touch = "dd if=/dev/urandom of=/dev/shm/m bs=1M count=64 2>/dev/null"

    private struct Table {
        private var rows: [(String, [Double])] = []

        mutating func add(_ name: String, _ duration: Duration) {
            let value = duration / .milliseconds(1)
            if let index = rows.firstIndex(where: { $0.0 == name }) {
                rows[index].1.append(value)
            } else {
                rows.append((name, [value]))
            }
        }

        func show() {
            print("| what | p50 | p90 | max | n |\n|---|---|---|---|---|")
            for (name, values) in rows {
                let sorted = values.sorted()
                let cells = [sorted[sorted.count / 2], sorted[sorted.count * 9 / 10], sorted[sorted.count - 1]]
                print(
                    "| \(name) | " + cells.map { String(format: "%.1f", $0) }.joined(separator: " | ")
                        + " | \(sorted.count) |")
            }
        }
    }

    private func timed(_ body: () async throws -> Void) async rethrows -> Duration {
        try await ContinuousClock().measure { try await body() }
    }

    @Test(arguments: [true, false]) func `driver`(direct: Bool) async throws {
        var table = Table()
        let prefix = "directfs=\(direct) "
        for prewarm in [0, 3] {
            try await Fixture.with(prewarm: prewarm, directFileAccess: direct) { fixture in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await fixture.driver.run() }
                    for _ in 0..<Self.samples {
                        try await sample(fixture, prefix + (prewarm > 0 ? "pool " : "cold "), prewarm, &table)
                    }
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
        }
        table.show()
    }

    private func sample(_ fixture: Fixture, _ name: String, _ prewarm: Int, _ table: inout Table) async throws {
        try await eventually("the pool fills") { fixture.driver.pool.count == prewarm }
        let request = try fixture.request(limits: ResourceLimits())
        var execution: (any Execution)?
        table.add(name + "start", try await timed { execution = try await fixture.driver.start(request) })
        guard let running = execution else { return }
        var start = ProcessStart(arguments: ["/bin/true"])
        start.environment = [:]
        table.add(
            name + "exec", try await timed { _ = try await running.guest.run(start, input: nil, outputLimit: 10) })
        _ = try await running.shell(Self.touch)
        table.add(name + "pause", try await timed { try await running.pause() })
        table.add(name + "resume", try await timed { try await running.resume() })
        let image = try fixture.checkpointDirectory()
        table.add(name + "checkpoint 64 MiB", try await timed { try await running.checkpoint(to: image) })
        table.add(name + "destroy", try await timed { try await fixture.driver.destroy(request.execution) })
        try await eventually("the pool fills") { fixture.driver.pool.count == prewarm }
        let again = try fixture.request(
            limits: ResourceLimits(), upper: String(request.root.upper.dropLast("/upper".count)))
        let restore = RestoreRequest(start: again, checkpoint: image)
        table.add(name + "restore 64 MiB", try await timed { execution = try await fixture.driver.restore(restore) })
        table.add(name + "destroy", try await timed { try await fixture.driver.destroy(again.execution) })
        try TreeRemoval.remove(fixture.directory + "/checkpoints")
    }

    @Test func `runsc's own commands`() async throws {
        var table = Table()
        try await Fixture.with { fixture in
            let state = fixture.directory + "/runsc"
            let root = fixture.directory + "/template"
            try FileManager.default.createDirectory(atPath: root + "/proc", withIntermediateDirectories: true)
            let flags = [
                "--root=\(state)", "--network=none", "--platform=systrap", "--ignore-cgroups", "--overlay2=root:memory",
            ]
            for round in 0..<10 {
                let bundle = fixture.directory + "/bundle\(round)"
                try writeBundle(bundle, root, ["/bin/sh", "-c", "echo ready"])
                table.add(
                    "runsc run", await timed { try? await runsc(flags + ["run", "--bundle=\(bundle)", "a\(round)"]) })
                try writeBundle(bundle, root, ["/bin/sh", "-c", Self.touch + "; sleep 1000"])
                try await runsc(flags + ["run", "--detach", "--bundle=\(bundle)", "b\(round)"])
                try await Task.sleep(for: .seconds(1))
                table.add(
                    "runsc checkpoint 64 MiB",
                    await timed {
                        try? await runsc(
                            flags + ["checkpoint", "--compression=none", "--image-path=\(bundle)/image", "b\(round)"])
                    })
                try await runsc(flags + ["delete", "--force", "b\(round)"])
                table.add(
                    "runsc restore 64 MiB",
                    await timed {
                        try? await runsc(
                            flags + [
                                "restore", "--detach", "--bundle=\(bundle)", "--image-path=\(bundle)/image",
                                "c\(round)",
                            ])
                    })
                table.add("runsc exec", await timed { try? await runsc(flags + ["exec", "c\(round)", "/bin/true"]) })
                table.add(
                    "runsc delete --force",
                    await timed { try? await runsc(flags + ["delete", "--force", "c\(round)"]) })
                try TreeRemoval.remove(bundle)
            }
        }
        table.show()
    }

    private func writeBundle(_ bundle: String, _ root: String, _ arguments: [String]) throws {
        try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
        var spec = OCISpec(root: root)
        spec.process.args = arguments
        try Data(spec.encoded()).write(to: URL(fileURLWithPath: bundle + "/config.json"))
    }

    private func runsc(_ arguments: [String]) async throws {
        // A detached sandbox inherits the outputs, so they are not collected.
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let child = try ChildProcess.spawn(
            ChildCommand(Host.runsc, arguments), descriptors: [null.raw, null.raw, null.raw])
        _ = try await child.wait(until: .now + .seconds(30))
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["NIGHTJAR_BENCH_ROOT"] != nil), arguments: [true, false])
    func `file workloads`(direct: Bool) async throws {
        let root = try #require(ProcessInfo.processInfo.environment["NIGHTJAR_BENCH_ROOT"])
        let work = [
            ("python3 -c pass", "python3 -c pass"),
            ("python3 imports", "python3 -c 'import json,ssl,http.client,asyncio,unittest,decimal'"),
            (
                "2000 small files",
                "mkdir -p /w && i=0; while [ $i -lt 2000 ]; do echo $i > /w/$i; i=$((i+1)); done; sync"
            ),
            ("ls -lR /usr", "ls -lR /usr > /dev/null"),
            ("tar /usr/lib/python3", "tar cf /t.tar /usr/lib/python3"),
            ("untar", "mkdir /u && tar xf /t.tar -C /u"),
            ("rm -rf", "rm -rf /u /w"),
            (
                "git init+commit",
                "mkdir /g && cd /g && cp -r /usr/lib/python3/dist-packages .; git init -q . && git add -A && "
                    + "git -c user.name=a -c user.email=b commit -qm x"
            ),
            ("write 256M", "dd if=/dev/zero of=/big bs=1M count=256 2>/dev/null"),
            ("read 256M", "cat /big > /dev/null"),
        ]
        var table = Table()
        try await Fixture.with(directFileAccess: direct) { fixture in
            for _ in 0..<3 {
                let request = try fixture.request(lower: [fixture.directory + "/init", root], limits: ResourceLimits())
                let execution = try await fixture.driver.start(request)
                for (name, command) in work {
                    table.add(
                        "directfs=\(direct) \(name)", try await timed { _ = try await execution.tryShell(command) })
                }
                try await fixture.driver.destroy(request.execution)
            }
        }
        table.show()
    }
}

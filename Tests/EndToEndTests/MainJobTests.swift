import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct MainJob {
        @Test func `a sandbox falls asleep by itself, leaves nothing on the host, and goes on when it is called`()
            async throws
        {
            try await TestServer.with { server in
                let client = server.client
                let sandbox = try await client.makeSandbox("main", idle: 2)
                let keeper = try await Keeper.start(client, "main", mebibytes: 64)
                let before = try await keeper.ask()
                try await client.sh("main", "echo \(before.counter) >> /workspace/log")
                let awake = try await client.metrics("main")
                #expect(awake.hostProcesses > 0)
                #expect(awake.memoryBytes >= 64 << 20)
                let running = try slotProcesses(of: sandbox.id, server)
                #expect(!running.isEmpty)

                let asleep = try await client.state("main", becomes: .standby)
                #expect((asleep.checkpointBytes ?? 0) >= 64 << 20)
                _ = try await eventually("no process is left", within: .seconds(5)) {
                    try await client.metrics("main").hostProcesses == 0 ? true : nil
                }
                #expect(try await client.metrics("main").memoryBytes == 0)
                #expect(running.allSatisfy { Set(Host.processes()).contains($0) == false })
                #expect(try slotProcesses(of: sandbox.id, server).isEmpty)
                #expect(try await client.sandbox("main").state == .standby, "looking at it does not wake it")

                let after = try await keeper.ask()
                try await client.sh("main", "echo \(after.counter) >> /workspace/log")
                #expect(after.counter == before.counter + 1)
                #expect((after.pid, after.token, after.memoryHash) == (before.pid, before.token, before.memoryHash))
                #expect(try await client.sh("main", "cat /workspace/log") == "1\n2")
                #expect(try await client.sandbox("main").wakes == 1)
            }
        }

        @Test func `the demonstration holds`() async throws {
            try await TestServer.with { server in
                let result = try await server.nightjar("demo", "-o", "json", within: .seconds(120))
                #expect(result.code == 0, "\(result.error)")
                #expect(result.text.contains("\"holds\" : true"))
            }
        }

        @Test func `an unnamed sandbox can delete itself when it is idle`() async throws {
            try await TestServer.with { server in
                var spec = SandboxSpec()
                spec.lifecycle = LifecyclePolicy(idleTimeout: 1, onIdle: .delete)
                let id = try await server.client.create(spec).id.rawValue
                _ = try await eventually("it is gone") {
                    await code { _ = try await server.client.sandbox(id) } == .sandboxNotFound ? true : nil
                }
            }
        }

        @Test func `a stopped sandbox keeps its files and starts again when it is called`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("stopper")
                try await client.sh("stopper", "echo kept > /workspace/file; echo gone > /tmp/file")
                #expect(try await client.stop("stopper").state == .stopped)
                #expect(try await client.metrics("stopper").hostProcesses == 0)
                #expect(
                    try await client.sh("stopper", "cat /workspace/file; ls /tmp/file 2>/dev/null || true") == "kept")
                #expect(try await client.sandbox("stopper").state == .running)
            }
        }

        @Test func `a paused sandbox does not run, and goes on when it is resumed`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("pauser")
                let ticker = try await client.background(
                    "pauser", ["bash", "-c", "while :; do echo x; sleep 0.05; done"])
                try await client.output("pauser", ticker.id, contains: "x")
                #expect(try await client.pause("pauser").state == .paused)
                // The kernel takes a moment to freeze it; from then on nothing at all may be added.
                _ = try await eventually("it uses no CPU") {
                    let used = try await client.metrics("pauser").cpuSeconds
                    try await Task.sleep(for: .milliseconds(500))
                    return try await client.metrics("pauser").cpuSeconds == used ? true : nil
                }
                #expect(try await client.sandbox("pauser").state == .paused)
                #expect(try await client.resume("pauser").state == .running)
                let end = try await client.process("pauser", ticker.id).outputEnd
                _ = try await eventually("it goes on") {
                    try await client.process("pauser", ticker.id).outputEnd > end ? true : nil
                }
            }
        }

        /// The shims whose slot belongs to a sandbox.
        private func slotProcesses(of id: SandboxID, _ server: TestServer) throws -> [Host.Entry] {
            let base = server.runDirectory + "/gvisor"
            let slots = try FileManager.default.contentsOfDirectory(atPath: base).filter { slot in
                let text = (try? String(contentsOfFile: "\(base)/\(slot)/assigned", encoding: .utf8)) ?? ""
                return text.contains(id.rawValue)
            }
            return Host.processes().filter { entry in slots.contains { entry.commandLine.contains("/\($0)") } }
        }
    }
}

import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// What happens at the limits of a sandbox: one process meets them, and the others go on.
    @Suite struct Limits {
        /// gVisor's kernel needs memory itself to end a process. Once in a while, on a busy machine, it gets none, and
        /// the sandbox ends as a whole: told as such, with its files, and without harm to others.
        @Test func `a process that takes too much memory is ended, and the others live`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("other", LimitsSpec(memoryMiB: 256))
                let neighbour = try await Keeper.start(client, "other", mebibytes: 4)
                let token = try await neighbour.ask().token
                let hogs = [
                    ["python3", "-c", "b = bytearray(2 << 30); print(len(b))"],
                    ["python3", "-c", "a = []\nwhile True: a.append(b'x' * (1 << 20))"],
                    ["sh", "-c", "python3 -c 'b = bytearray(1 << 30)'; exit 9"],
                    ["node", "-e", "const a = []; for (;;) a.push(Buffer.alloc(4 << 20, 1))"],
                ]
                var alone = 0
                for (index, hog) in hogs.enumerated() {
                    let name = "hog\(index)"
                    _ = try await client.limited(name, LimitsSpec(memoryMiB: 256))
                    try await client.sh(name, "echo kept > /root/file")
                    let keeper = try await Keeper.start(client, name, mebibytes: 4)
                    let before = try await keeper.ask()
                    if let result = try? await client.exec(name, ExecRequest(command: hog)) {
                        alone += 1
                        #expect(result.cause == .outOfMemory && result.exitCode != 0, "\(hog): \(result.exitCode)")
                        #expect(try await client.sandbox(name).state == .running)
                        #expect(try await keeper.ask().token == before.token)
                        _ = try await client.limitEvents(name, cause: "oom_killed")
                    } else {
                        let failed = try await client.state(name, becomes: .failed)
                        #expect(failed.problem?.code == .oomKilled)
                    }
                    #expect(try await client.sh(name, "cat /root/file") == "kept")
                    try await client.delete(name)
                }
                #expect(alone >= 2, "\(alone) of \(hogs.count) ended alone")
                #expect(try await neighbour.ask().token == token)
                #expect(try await server.metrics().contains(#"nightjar_limit_hits_total{cause="oom_killed"}"#))
            }
        }

        @Test func `files in memory meet an end, and a woken sandbox is as well guarded`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("shared", LimitsSpec(memoryMiB: 256))
                let full = ExecRequest(command: ["dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=300"])
                let first = try await client.exec("shared", full)
                #expect(first.stderr.contains("No space left"))
                _ = try await client.standby("shared")
                let again = try await client.exec("shared", full)
                #expect(again.stderr.contains("No space left"))
            }
        }

        @Test func `memory that no process holds is the end of the sandbox alone, and its files stay`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("wall", LimitsSpec(memoryMiB: 128))
                _ = try await client.limited("other", LimitsSpec(memoryMiB: 128))
                let keeper = try await Keeper.start(client, "other")
                let token = try await keeper.ask().token
                try await client.sh("wall", "echo kept > /root/file; mkdir /many")
                _ = try? await client.sh(
                    "wall", "mount -t tmpfs none /many; while :; do head -c 64M /dev/zero >> /many/x || sleep 0.1; done"
                )
                let failed = try await client.state("wall", becomes: .failed, within: .seconds(60))
                #expect(failed.problem?.code == .oomKilled)
                #expect(try await keeper.ask().token == token)
                #expect(try await client.sh("wall", "cat /root/file") == "kept")
                #expect(try await client.sandbox("wall").state == .running)
            }
        }

        @Test func `a fork bomb meets an error, and the others live`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("bomb", LimitsSpec(pids: 64))
                let keeper = try await Keeper.start(client, "bomb", mebibytes: 1)
                let token = try await keeper.ask().token
                let bomb = """
                    import os, sys, time
                    count = 0
                    try:
                        while True:
                            if os.fork() == 0:
                                time.sleep(1000)
                            count += 1
                    except BlockingIOError:
                        print(count, flush=True)
                    sys.stdin.read()
                    sys.exit(3)
                    """
                let process = try await client.background("bomb", ["python3", "-c", bomb], openStdin: true)
                try await client.output("bomb", process.id, contains: "\n")
                let count = Int(try await client.allOutput("bomb", process.id).prefix { $0.isNumber }) ?? 0
                // gVisor's own count is a little loose.
                #expect((40...96).contains(count))
                try await client.write("bomb", process.id, [], close: true)
                let exit = try await client.wait("bomb", process.id)
                #expect(exit.cause == .processesExhausted && exit.code == 3)
                #expect(try await client.limitEvents("bomb", cause: "pids_exhausted").isEmpty == false)
                #expect(try await keeper.ask().token == token)
            }
        }

        @Test func `a command's time, files and output are bounded as the sandbox says`() async throws {
            try await TestServer.with { server in
                let client = server.client
                let limits = LimitsSpec(cpuWeight: 50, openFiles: 64, execTimeout: 0.5, retainedOutput: 8192)
                let made = try await client.limited("bounds", limits)
                #expect(made.limits.cpuWeight == 50 && made.limits.openFiles == 64 && made.limits.memoryMiB == 2048)
                let late = try await client.exec("bounds", ExecRequest(command: ["sleep", "60"]))
                #expect(late.cause == .timedOut && late.timedOut)
                var patient = ExecRequest(command: ["bash", "-c", "ulimit -n; ulimit -Hn; sleep 1"])
                patient.timeout = 20
                let result = try await client.exec("bounds", patient)
                #expect(result.stdout == "64\n64\n" && result.cause == .exited)
                let killed = try await client.exec("bounds", ExecRequest(command: ["sh", "-c", "kill -9 $$"]))
                #expect(killed.cause == .signal)
                let loud = try await client.start(
                    "bounds", ExecRequest(command: ["sh", "-c", "head -c 50000 /dev/zero"]))
                _ = try await client.wait("bounds", loud.id)
                let seen = try #require(try await client.processes("bounds").first { $0.id == loud.id })
                #expect(seen.outputEnd == 50000 && seen.outputEnd - seen.outputStart == 8192)
                #expect(try await client.limitEvents("bounds", cause: "timed_out").isEmpty == false)
                #expect(try await client.limitEvents("bounds", cause: "signal").isEmpty == false)
            }
        }
    }
}

extension NightjarClient {
    /// A durable sandbox that stays awake.
    func limited(_ name: String, _ limits: LimitsSpec) async throws -> SandboxResource {
        var spec = SandboxSpec(name: name, limits: limits)
        spec.lifecycle.idleTimeout = 3600
        return try await create(spec)
    }

    /// What the events of a sandbox say of one cause; waits until there is one.
    func limitEvents(_ sandbox: String, cause: String) async throws -> [[String: String]] {
        try await eventually("an event with \(cause)") {
            let found = try await events(sandbox: sandbox, limit: 500).map(\.detail).filter { $0["cause"] == cause }
            return found.isEmpty ? nil : found
        }
    }
}

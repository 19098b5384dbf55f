import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Restarts {
        @Test func `a server that is told to end leaves its sandboxes running for the next`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("stays")
                let keeper = try await Keeper.start(client, "stays", mebibytes: 4)
                let before = try await keeper.ask()
                #expect(try await server.stop() == 0)
                #expect(server.processes().contains { $0.contains("runsc-sandbox") }, "it runs on without a server")
                try await server.start()
                #expect(try await client.sandbox("stays").state == .running)
                let after = try await keeper.ask()
                #expect((after.pid, after.token, after.counter) == (before.pid, before.token, before.counter + 1))
            }
        }

        @Test func `after a reboot sleeping sandboxes wake, and others start again from their files`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("asleep")
                let keeper = try await Keeper.start(client, "asleep", mebibytes: 16)
                let before = try await keeper.ask()
                _ = try await client.standby("asleep")
                _ = try await client.makeSandbox("awake")
                try await client.sh("awake", "echo kept > /workspace/file; sync")
                try await server.reboot()
                #expect(try await client.sandbox("asleep").state == .standby)
                let after = try await keeper.ask()
                #expect((after.pid, after.token, after.memoryHash) == (before.pid, before.token, before.memoryHash))
                _ = try await client.resume("awake")
                #expect(try await client.sh("awake", "cat /workspace/file") == "kept")
                #expect(try await client.sandbox("awake").problem != nil, "that its memory was lost is told")
            }
        }

        @Test func `what a server does not know is cleaned up when it starts`() async throws {
            try await TestServer.with { server in
                _ = try await server.client.makeSandbox("orphan")
                await server.kill()
                for suffix in ["", "-wal", "-shm"] {
                    try? FileManager.default.removeItem(atPath: server.dataDirectory + "/nightjar.sqlite" + suffix)
                }
                #expect(server.processes().contains { $0.contains("runsc-sandbox") })
                let old = Set(Host.processes().filter { $0.commandLine.contains(server.runDirectory + "/gvisor/") })
                try await server.start()
                #expect(try await server.client.allSandboxes().isEmpty)
                _ = try await eventually("the processes are gone") {
                    old.isDisjoint(with: Host.processes()) ? true : nil
                }
            }
        }
    }
}

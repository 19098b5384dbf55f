import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Preboot {
        private func prebooted(_ server: TestServer) async throws {
            _ = try await eventually("a sandbox is booted ahead", within: .seconds(60)) {
                try await server.client.health().prebooted > 0 ? true : nil
            }
        }

        @Test func `a creation takes what was booted ahead, and a killed server's is removed`() async throws {
            try await TestServer.with(["--preboot", "2"]) { server in
                let client = server.client
                try await prebooted(server)
                let waiting = Set(Host.processes().filter { $0.commandLine.contains(server.runDirectory + "/gvisor/") })
                let made = try await client.create(SandboxSpec(labels: ["a": "b"], environment: ["GREETING": "hello"]))
                let id = made.id.rawValue
                #expect(try await client.sh(id, "echo $GREETING $(hostname)") == "hello nj-\(id.dropFirst(3))")
                #expect(try await client.sh(id, "ls -A /workspace; ls /proc | grep -c '^[0-9]'") != "")
                #expect(try await client.processes(id).count == 2, "only what this test ran")
                #expect(!waiting.isDisjoint(with: Host.processes()), "it is the process that was there before")
                _ = try await client.makeSandbox("named")
                #expect(try await client.sh("named", "hostname") == "named")
                _ = try await client.standby("named")
                #expect(try await client.sh("named", "hostname") == "named")
                try await prebooted(server)
                await server.kill()
                try await server.start()
                #expect(Set(try await client.allSandboxes().map(\.id.rawValue)).count == 2)
                #expect(try await client.sh(id, "echo here") == "here")
                let directories = try FileManager.default.contentsOfDirectory(
                    atPath: server.dataDirectory + "/sandboxes")
                #expect(directories.count <= 2 + 2, "what the killed server had booted ahead is gone")
            }
        }
    }
}

import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// Virtual machines, emulated here unless the processor can run them.
    @Suite struct MicroVM {
        private func makeMachine(_ client: NightjarClient, _ name: String) async throws -> SandboxResource {
            var spec = SandboxSpec(name: name, limits: .init(memoryMiB: 256, cpus: 1), isolation: .microvm)
            spec.lifecycle = LifecyclePolicy(idleTimeout: 3600, onIdle: .none)
            return try await client.create(spec)
        }

        @Test func `a machine has a kernel of its own, and its life is that of every sandbox`() async throws {
            try await TestServer.with { server in
                let client = server.client
                #expect(try await makeMachine(client, "machine").isolation == "microvm")
                let host = try String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
                let kernel = try await client.sh("machine", "uname -r")
                #expect(kernel.contains("cloud") && kernel != host.trimmingCharacters(in: .whitespacesAndNewlines))
                try await client.sh("machine", "echo kept > /workspace/file; sleep 1000 >/dev/null 2>&1 &")
                // A server that dies leaves it running, and the next one takes it over.
                await server.kill()
                try await server.start()
                #expect(try await client.sh("machine", "pgrep -c sleep; cat /workspace/file") == "1\nkept")
                _ = try await client.pause("machine")
                _ = try await client.resume("machine")
                #expect(try await client.sh("machine", "pgrep -c sleep") == "1")
                #expect(try await client.stop("machine").state == .stopped)
                #expect(try await client.sh("machine", "cat /workspace/file; pgrep -c sleep || true") == "kept\n0")
                try await client.delete("machine")
            }
        }

        @Test func `a machine whose monitor is killed is stopped with its files, and starts again`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await makeMachine(client, "machine")
                try await client.sh("machine", "echo kept > /workspace/file; sync")
                let monitors = server.monitors()
                #expect(monitors.count == 1)
                for monitor in monitors { Glibc.kill(monitor, SIGKILL) }
                _ = try await eventually("the end is noticed") {
                    try await client.sandbox("machine").state == .stopped ? true : nil
                }
                #expect(try await client.sandbox("machine").problem?.code == .memoryLost)
                #expect(try await client.sh("machine", "cat /workspace/file") == "kept")
            }
        }

        @Test func `a machine that cannot be had is refused before anything is made`() async throws {
            try await TestServer.with(["--qemu", "/nonexistent"]) { server in
                let error = await #expect(throws: SandboxError.self) {
                    _ = try await makeMachine(server.client, "machine")
                }
                #expect(error?.code == .unsupported)
                #expect(error?.message.contains("/nonexistent") == true)
                #expect(try await server.client.allSandboxes().isEmpty)
                let tier = try await server.client.capabilities().isolation.first { $0.name == "microvm" }
                #expect(tier?.run.available == false && tier?.acceleration?.available == false)
            }
        }
    }
}

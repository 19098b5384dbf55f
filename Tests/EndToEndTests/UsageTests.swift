import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// What sandboxes have used.
    @Suite struct Usage {
        @Test func `use outlives kill -9 of the server and the sandbox itself, and counts nothing twice`() async throws
        {
            try await TestServer.with { server in
                let client = server.client
                var spec = SandboxSpec(name: "u", labels: ["tenant": "acme"])
                spec.lifecycle = LifecyclePolicy(idleTimeout: 3600)
                _ = try await client.create(spec)
                try await client.sh("u", "timeout 2 sh -c 'while :; do :; done' || true")
                await server.kill()
                try await server.start()
                let before = try await client.metrics("u").cpuSeconds
                _ = try await client.standby("u")
                try await Task.sleep(for: .seconds(1))
                try await client.delete("u")
                var query = UsageQuery()
                query.groupBy = "label:tenant"
                query.labels = ["tenant": "acme"]
                let item = try #require(try await client.allUsage(query).items.first)
                #expect(item.value == "acme")
                // What was seen before the standby, and the little until it; never twice as much.
                #expect(item.cpuSeconds >= before && item.cpuSeconds < before * 1.9, "\(item) after \(before)")
                #expect(item.cpuSeconds > 1)
                #expect(item.runningSeconds >= 2)
                #expect(item.memoryGiBSeconds > 0)
                #expect(item.standbySeconds >= 1)
                #expect(item.standbyGiBSeconds > 0)
                let table = try await server.nightjar("usage", "--sandbox", "u").text
                #expect(table.contains("u (gone)"))
            }
        }
    }
}

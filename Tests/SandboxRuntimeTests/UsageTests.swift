import SandboxModel
import Synchronization
import Testing

@testable import SandboxRuntime

/// What the runtime reads of its sandboxes' use, and when.
@Suite(.timeLimit(.minutes(5)))
struct UsageTests {
    private func use(_ runtime: SandboxRuntime, _ group: String = "sandbox") async throws -> [UsageResource.Item] {
        var question = UsageQuestion()
        question.groupBy = group
        return try await runtime.usage(question).items
    }

    private func work(_ node: Node, _ sandbox: SandboxResource, seconds: Double) throws {
        let processes = try #require(node.processes(sandbox))
        processes.state.withLock { $0.cpu += UInt64(seconds * 1e9) }
        node.clock.advance(seconds * 2)
    }

    @Test func `a life is metered from its start to its end, through standby, wake and deletion`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            let sandbox = try await runtime.create(SandboxSpec(name: "a"), idempotency: nil)
            try work(node, sandbox, seconds: 3)
            await runtime.meterAll()
            try work(node, sandbox, seconds: 1)
            // The last reading is made before the processes end.
            let asleep = try await runtime.standby("a")
            let bytes = Double(try #require(asleep.checkpointBytes))
            node.clock.advance(100)
            await runtime.meterAll()
            _ = try await runtime.resume("a")
            try work(node, sandbox, seconds: 2)
            try await runtime.delete("a")
            node.clock.advance(1000)
            let item = try #require(try await use(runtime).first)
            #expect(item.sandbox == sandbox.id)
            #expect(item.name == "a")
            #expect(item.deletedAt != nil)
            #expect(abs(item.cpuSeconds - 6) < 1e-6)
            #expect(abs(item.runningSeconds - 12) < 1e-6)
            #expect(abs(item.standbySeconds - 100) < 1e-6)
            #expect(abs(item.standbyGiBSeconds - 100 * bytes / 1_073_741_824) < 1e-9)
            #expect(abs(item.limitGiBSeconds - 24) < 1e-6)
        }
    }

    @Test func `a server that dies loses nothing of what runs on, and counts nothing twice`() async throws {
        let node = try Node()
        let sandbox = try await node.serve { runtime in
            let sandbox = try await runtime.create(SandboxSpec(name: "a"), idempotency: nil)
            try work(node, sandbox, seconds: 5)
            await runtime.meterAll()
            try work(node, sandbox, seconds: 1)
            return sandbox
        }
        try work(node, sandbox, seconds: 2)
        try await node.serve { runtime in
            await runtime.meterAll()
            await runtime.meterAll()
            let item = try #require(try await use(runtime).first)
            #expect(abs(item.cpuSeconds - 8) < 1e-6)
            #expect(abs(item.runningSeconds - 16) < 1e-6)
        }
    }

    @Test func `an end that nobody asked for costs no more than the last interval's CPU`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            let sandbox = try await runtime.create(SandboxSpec(name: "a"), idempotency: nil)
            try work(node, sandbox, seconds: 5)
            await runtime.meterAll()
            try work(node, sandbox, seconds: 1)
            try #require(node.processes(sandbox)).end(code: 137)
            try await eventually("the loss is recorded") { try await runtime.get("a").state == .stopped }
            let item = try #require(try await use(runtime).first)
            #expect(abs(item.cpuSeconds - 5) < 1e-6)
            #expect(abs(item.runningSeconds - 12) < 1e-6)
        }
    }

    @Test func `those that sleep cost no write`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            for name in ["a", "b", "c"] {
                _ = try await runtime.create(SandboxSpec(name: name), idempotency: nil)
                _ = try await runtime.standby(name)
            }
            let store = try #require(runtime.usage as? CheckingStore)
            let before = store.metered.load(ordering: .relaxed)
            for _ in 0..<10 {
                node.clock.advance(10)
                await runtime.meterAll()
            }
            #expect(store.metered.load(ordering: .relaxed) == before)
            #expect(try await use(runtime, "total").first?.standbySeconds ?? 0 >= 300)
        }
    }

    @Test(arguments: ["label:", "label:a=b", "tenant", ""])
    func `a grouping that does not exist is refused`(grouping: String) async throws {
        let node = try Node()
        try await node.serve { runtime in
            let refused = await code { _ = try await use(runtime, grouping) }
            #expect(refused == .invalidRequest)
        }
    }
}

import Foundation
import GuestClient
import Isolation
import SandboxModel
import Store
import StoreSQLite
import Synchronization
import Testing

@testable import SandboxRuntime

@Suite(.timeLimit(.minutes(5)))
struct ReconcileTests {
    @Test func `running and paused sandboxes outlive the server`() async throws {
        let node = try Node()
        let memories = try await node.serve { runtime async throws in
            let one = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let two = try await runtime.create(SandboxSpec(name: "two"), idempotency: nil)
            _ = try await runtime.pause("two")
            return [node.processes(one)?.memory, node.processes(two)?.memory]
        }
        try await node.serve { runtime async throws in
            let one = try await runtime.get("one")
            let two = try await runtime.get("two")
            #expect(one.state == .running)
            #expect(two.state == .paused)
            #expect(node.processes(two)?.state.withLock { $0.paused } == true)
            #expect([node.processes(one)?.memory, node.processes(two)?.memory] == memories)
            try await runtime.withGuest("two", .request("exec")) { try await $0.session.ping(deadline: .seconds(30)) }
            #expect(node.world.count(.start) == 2)
        }
    }

    @Test func `sleeping sandboxes wake on another boot of the host`() async throws {
        let node = try Node()
        let memory = try await node.serve { runtime async throws in
            let one = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(one)?.memory
            _ = try await runtime.standby("one")
            return memory
        }
        node.world.crash()
        try await node.serve(boot: "boot-2") { runtime async throws in
            try await runtime.withGuest("one", .request("exec")) { _ in }
            let one = try await runtime.get("one")
            #expect(node.processes(one)?.memory == memory)
        }
    }

    @Test func `after a crash of the host durable sandboxes keep their files, ephemeral ones that ran are gone`()
        async throws
    {
        let node = try Node()
        let ephemeral = try await node.serve { runtime async throws in
            let one = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try writeText("kept", to: node.sandboxPath(one) + "/upper/file")
            return try await runtime.create(SandboxSpec(), idempotency: nil)
        }
        node.world.crash()
        try await node.serve(boot: "boot-2") { runtime async throws in
            let one = try await runtime.get("one")
            #expect(one.state == .stopped)
            #expect(one.problem?.code == .memoryLost)
            try await runtime.withGuest("one", .request("exec")) { _ in }
            #expect(try readText(node.sandboxPath(one) + "/upper/file") == "kept")
            #expect(await code { _ = try await runtime.get(ephemeral.id.rawValue) } == .sandboxNotFound)
        }
    }

    @Test func `processes that ended while the server was away lose their memory only`() async throws {
        let node = try Node()
        let made = try await node.serve { try await $0.create(SandboxSpec(), idempotency: nil) }
        node.world.crash()
        try await node.serve { runtime async throws in
            let found = try await runtime.get(made.id.rawValue)
            #expect(found.state == .stopped)
            #expect(found.problem?.code == .memoryLost)
            try await runtime.withGuest(made.id.rawValue, .request("exec")) { _ in }
        }
    }

    /// Ends the server while a transition waits at a point, as `kill -9` does.
    private func interrupted(
        _ node: Node, at point: Point, _ begin: @escaping @Sendable (SandboxRuntime) async throws -> Void
    ) async throws {
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            if point == .restore { _ = try await runtime.standby("one") }
            let gate = node.world.close(point)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await begin(runtime) }
                try? await eventually("it waits at the gate") { gate.waiting == 1 }
                group.cancelAll()
            }
            // The fake cannot be killed: what waits there fails instead, and the store is closed to it.
            node.world.fail(point)
            runtime.shared.withLock { $0.stopping = true }
            (runtime.store as? CheckingStore)?.cutOff()
            node.world.open(point)
            try await eventually("it is over") { runtime.operations.pending == 0 }
        }
    }

    @Test func `a server that dies in a standby leaves a sandbox that goes on`() async throws {
        let node = try Node()
        try await interrupted(node, at: .checkpoint) { _ = try await $0.standby("one") }
        try await node.serve { runtime async throws in
            #expect(try await runtime.get("one").state == .running)
            #expect(node.world.count(.start) == 1)
            #expect(try await runtime.standby("one").state == .standby)
        }
    }

    @Test func `a server that dies in a wake leaves a sandbox that sleeps`() async throws {
        let node = try Node()
        try await interrupted(node, at: .restore) { _ = try await $0.resume("one") }
        try await node.serve { runtime async throws in
            #expect(try await runtime.get("one").state == .standby)
            #expect(try await runtime.resume("one").state == .running)
            #expect(node.world.count(.start) == 1)
        }
    }

    @Test func `a creation that nobody heard of is undone`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let gate = node.world.close(.start)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await runtime.create(SandboxSpec(name: "one"), idempotency: nil) }
                try? await eventually("it waits at the gate") { gate.waiting == 1 }
                group.cancelAll()
            }
            (runtime.store as? CheckingStore)?.cutOff()
            node.world.open(.start)
            try await eventually("it is over") { runtime.operations.pending == 0 }
        }
        try await node.serve { runtime async throws in
            #expect(await code { _ = try await runtime.get("one") } == .sandboxNotFound)
            #expect(node.world.processes.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: node.path + "/sandboxes") == [])
        }
    }

    @Test func `what belongs to nobody is removed`() async throws {
        let node = try Node()
        let stranger = SandboxID()
        try FileManager.default.createDirectory(
            atPath: node.path + "/sandboxes/\(stranger)/upper", withIntermediateDirectories: true)
        let root = SandboxRoot(
            lower: [], layer: .directories(upper: "/nowhere", work: "/nowhere"), volatile: true)
        _ = node.world.begin(
            StartRequest(
                sandbox: stranger, execution: ExecutionID(), root: root, hostname: "x", limits: ResourceLimits()),
            memory: "orphan")
        try await node.serve { _ async throws in
            #expect(node.world.processes.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: node.path + "/sandboxes") == [])
        }
    }

    @Test func `a sandbox without files fails, and can be deleted`() async throws {
        let node = try Node()
        let made = try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            _ = try await runtime.standby("one")
            return made
        }
        try FileManager.default.removeItem(atPath: node.sandboxPath(made))
        try await node.serve { runtime async throws in
            #expect(try await runtime.get("one").state == .failed)
            try await runtime.delete("one")
        }
    }

    @Test func `a second server is refused`() async throws {
        let node = try Node()
        try await node.serve { _ async throws in
            #expect(await code { try await node.serve { _ in } } == .unavailable)
        }
    }

    @Test func `requests wait for a sandbox that is being taken over`() async throws {
        let node = try Node()
        _ = try await node.serve { try await $0.create(SandboxSpec(name: "one"), idempotency: nil) }
        let gate = node.world.close(.reattach)
        try await node.serve(ready: false) { runtime async throws in
            try await eventually("it waits at the gate") { gate.waiting == 1 }
            #expect(!runtime.isReady)
            #expect(runtime.health().status == "starting")
            async let request: Void = runtime.withGuest("one", .request("exec")) { _ in }
            node.world.open(.reattach)
            try await request
            try await eventually("the server is ready") { runtime.isReady }
        }
    }

    /// One row for every state, with and without a survivor, on the same boot and on another.
    @Test func `the table of adoptions`() {
        func adoption(
            _ state: SandboxState, survives: Bool, sameBoot: Bool = true, durable: Bool = true, hasFiles: Bool = true,
            deleting: Bool = false
        ) -> SandboxRuntime.Adoption {
            let time = Timestamp(unixNanoseconds: 0)
            var status = SandboxRecord.Status(state: state, changedAt: time, lastActiveAt: time)
            status.deleting = deleting
            return SandboxRuntime.adoption(
                of: status, durable: durable, survives: survives, hasFiles: hasFiles, sameBoot: sameBoot)
        }
        for state in SandboxState.allCases {
            for survives in [true, false] {
                #expect(
                    adoption(state, survives: survives, deleting: true) == .delete("its deletion was interrupted"))
                if state != .creating {
                    #expect(adoption(state, survives: survives, hasFiles: false) == .missingFiles)
                }
            }
        }
        #expect(adoption(.creating, survives: true) == .delete("its creation was interrupted"))
        #expect(adoption(.creating, survives: false) == .delete("its creation was interrupted"))
        #expect(adoption(.running, survives: true) == .reattach(paused: false))
        #expect(adoption(.running, survives: false) == .lost("it ended while the server was away"))
        #expect(adoption(.running, survives: false, sameBoot: false) == .lost("the host restarted"))
        #expect(
            adoption(.running, survives: false, sameBoot: false, durable: false)
                == .delete("the host restarted while it ran"))
        #expect(adoption(.paused, survives: true) == .reattach(paused: true))
        #expect(adoption(.paused, survives: false) == .lost("it ended while the server was away"))
        #expect(adoption(.suspending, survives: true) == .standbyIfComplete)
        #expect(adoption(.suspending, survives: false) == .standbyIfComplete)
        #expect(adoption(.resuming, survives: true) == .completeStart)
        #expect(adoption(.resuming, survives: false) == .keep)
        for survives in [true, false] {
            #expect(adoption(.standby, survives: survives) == .keep)
            #expect(adoption(.stopping, survives: survives) == .finishStop)
            #expect(adoption(.stopped, survives: survives) == .keep)
            #expect(adoption(.failed, survives: survives) == .keep)
        }
    }
}

import SandboxModel
import Store
import Synchronization
import Testing

@testable import SandboxRuntime

/// Room on a small node: who makes it, who waits, who is refused.
@Suite(.timeLimit(.minutes(5)))
struct AdmissionTests {
    private static func small(_ sandboxes: Int, parallel: Int = 2) -> @Sendable (inout RuntimeConfiguration) -> Void {
        { configuration in
            configuration.admission.capacity = NodeCapacity(memoryMiB: 100_000, cpus: 100, sandboxes: sandboxes)
            configuration.admission.parallelStarts = parallel
            configuration.admission.availableMemory = { nil }
        }
    }

    private func spec(_ name: String, _ labels: [String: String] = [:], onIdle: IdleAction = .standby) -> SandboxSpec {
        SandboxSpec(name: name, labels: labels, lifecycle: LifecyclePolicy(idleTimeout: 3600, onIdle: onIdle))
    }

    /// Time passes, and the runtime has had two looks at everybody, so that it knows who is idle.
    private func idle(_ node: Node, _ runtime: SandboxRuntime) async throws {
        for _ in 0..<2 {
            node.clock.advance(4)
            runtime.lookAtAll()
            try await eventually("looked at") {
                runtime.registry.all.allSatisfy { !$0.machine.withLock { $0.idle.probing } }
            }
        }
    }

    private func state(_ runtime: SandboxRuntime, _ name: String) async throws -> SandboxState {
        try await runtime.get(name).state
    }

    @Test func `the least recently used idle sandbox makes room for a new one`() async throws {
        let node = try Node()
        try await node.serve(Self.small(2)) { runtime in
            for name in ["a", "b"] { _ = try await runtime.create(spec(name), idempotency: nil) }
            try await idle(node, runtime)
            try await runtime.withGuest("a", .request("exec")) { _ in }
            try await idle(node, runtime)
            _ = try await runtime.create(spec("c"), idempotency: nil)
            #expect(try await state(runtime, "b") == .standby)
            #expect(try await state(runtime, "a") == .running)
            #expect(runtime.node().reserved.sandboxes == 2)
            let events = try await runtime.events(after: nil, sandbox: "b", limit: 100)
            #expect(events.contains { $0.type == "sandbox.standby" && $0.detail["reason"] == "pressure" })
        }
    }

    @Test func `four used in turn on a node with room for two are all served`() async throws {
        let node = try Node()
        try await node.serve(Self.small(2)) { runtime in
            for name in ["a", "b"] { _ = try await runtime.create(spec(name), idempotency: nil) }
            for name in ["c", "d"] {
                try await idle(node, runtime)
                _ = try await runtime.create(spec(name), idempotency: nil)
            }
            for round in 0..<3 {
                for name in ["a", "b", "c", "d"] {
                    try await idle(node, runtime)
                    try await runtime.withGuest(name, .request("exec")) { _ in }
                    #expect(runtime.node().reserved.sandboxes == 2, "\(round) \(name)")
                    #expect(node.world.processes.count == 2)
                }
            }
        }
    }

    @Test func `who finds nobody idle waits, and is refused when the time is over`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a", onIdle: .none), idempotency: nil)
            try await idle(node, runtime)
            async let refused = code { _ = try await runtime.create(self.spec("b"), idempotency: nil) }
            try await eventually("it waits") { runtime.node().queue.waiting == 1 }
            #expect(try await state(runtime, "b") == .creating)
            node.clock.advance(31)
            runtime.lookAtAdmission()
            #expect(await refused == .overloaded)
            #expect(await code { _ = try await runtime.get("b") } == .sandboxNotFound)
            #expect(runtime.node().reserved.sandboxes == 1)
            #expect(runtime.node().queue.waiting == 0)
        }
    }

    @Test func `a request may say how long it waits`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a", onIdle: .none), idempotency: nil)
            let refused = await AdmissionWait.$limit.withValue(.zero) {
                await code { _ = try await runtime.create(self.spec("b"), idempotency: nil) }
            }
            #expect(refused == .overloaded)
        }
    }

    @Test func `a wake that is refused leaves the sandbox asleep, and nothing held`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a"), idempotency: nil)
            _ = try await runtime.standby("a")
            #expect(runtime.node().reserved.sandboxes == 0)
            _ = try await runtime.create(spec("b", onIdle: .none), idempotency: nil)
            let refused = await AdmissionWait.$limit.withValue(.zero) {
                await code { try await runtime.withGuest("a", .request("exec")) { _ in } }
            }
            #expect(refused == .overloaded)
            #expect(try await state(runtime, "a") == .standby)
            try await runtime.delete("b")
            try await runtime.withGuest("a", .request("exec")) { _ in }
            #expect(runtime.node().reserved.sandboxes == 1)
        }
    }

    @Test func `whoever goes away leaves the line at once, and the next one is served`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a", onIdle: .none), idempotency: nil)
            let gone = try await withThrowingTaskGroup(of: SandboxError.Code?.self) { group in
                group.addTask { await code { _ = try await runtime.create(self.spec("b"), idempotency: nil) } }
                try await eventually("it waits") { runtime.node().queue.waiting == 1 }
                group.cancelAll()
                return try await group.next() ?? nil
            }
            #expect(gone == .cancelled)
            try await eventually("the line is empty") { runtime.node().queue.waiting == 0 }
            try await eventually("nothing is left of it") {
                await code { _ = try await runtime.get("b") } == .sandboxNotFound
            }
        }
    }

    @Test func `a wake goes on as long as one caller is left`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a"), idempotency: nil)
            _ = try await runtime.standby("a")
            _ = try await runtime.create(spec("b", onIdle: .none), idempotency: nil)
            async let patient: Void = runtime.withGuest("a", .request("exec")) { _ in }
            try await eventually("it waits") { runtime.node().queue.waiting == 1 }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = await code { try await runtime.withGuest("a", .request("exec")) { _ in } } }
                try? await Task.sleep(for: .milliseconds(20))
                group.cancelAll()
            }
            #expect(runtime.node().queue.waiting == 1)
            try await runtime.delete("b")
            try await patient
        }
    }

    @Test func `a deletion takes a waiting sandbox out of the line`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a", onIdle: .none), idempotency: nil)
            async let creation = code { _ = try await runtime.create(self.spec("b"), idempotency: nil) }
            try await eventually("it waits") { runtime.node().queue.waiting == 1 }
            try await runtime.delete("b")
            #expect(await creation == .invalidState)
            #expect(runtime.node().queue.waiting == 0)
            #expect(runtime.node().reserved.sandboxes == 1)
        }
    }

    @Test func `what runs at the start of a server counts, even above the capacity`() async throws {
        let node = try Node()
        try await node.serve(Self.small(10)) { runtime in
            for name in ["a", "b", "c"] { _ = try await runtime.create(spec(name), idempotency: nil) }
            _ = try await runtime.create(spec("d"), idempotency: nil)
            _ = try await runtime.standby("d")
        }
        try await node.serve(Self.small(1)) { runtime in
            #expect(runtime.node().reserved.sandboxes == 3)
            try await idle(node, runtime)
            // All three have to leave for it.
            try await runtime.withGuest("d", .request("exec")) { _ in }
            #expect(runtime.node().reserved.sandboxes == 1)
            for name in ["a", "b", "c"] { #expect(try await state(runtime, name) == .standby) }
        }
    }

    @Test func `starts run so many at once, and a burst is served in order`() async throws {
        let node = try Node()
        let gate = node.world.close(.start)
        try await node.serve(Self.small(100, parallel: 3)) { runtime in
            async let all: Void = withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask { _ = try await runtime.create(self.spec("s\(number)"), idempotency: nil) }
                }
                try await group.waitForAll()
            }
            try await eventually("three start") { gate.waiting == 3 && runtime.node().queue.waiting == 17 }
            #expect(runtime.node().queue.starting == 3)
            node.world.open(.start)
            try await all
            #expect(runtime.node().queue.starting == 0)
            #expect(runtime.node().reserved.sandboxes == 20)
        }
    }

    @Test func `a failed start gives back what it held`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            node.world.fail(.start)
            #expect(await code { _ = try await runtime.create(self.spec("a"), idempotency: nil) } == .driverFailed)
            #expect(runtime.node().reserved.sandboxes == 0)
            _ = try await runtime.create(spec("b"), idempotency: nil)
            _ = try await runtime.standby("b")
            node.world.fail(.restore)
            #expect(await code { _ = try await runtime.resume("b") } == .driverFailed)
            #expect(runtime.node().reserved.sandboxes == 0)
            _ = try await runtime.create(spec("c"), idempotency: nil)
        }
    }

    @Test func `one in use is not put to standby, nor one whose rules forbid it`() async throws {
        let node = try Node()
        try await node.serve(Self.small(3)) { runtime in
            _ = try await runtime.create(spec("used"), idempotency: nil)
            _ = try await runtime.create(spec("kept", onIdle: .none), idempotency: nil)
            var manual = spec("manual")
            manual.lifecycle.autoResume = false
            _ = try await runtime.create(manual, idempotency: nil)
            try await idle(node, runtime)
            try await runtime.withGuest("used", .stream("attach")) { _ in
                let refused = await AdmissionWait.$limit.withValue(.zero) {
                    await code { _ = try await runtime.create(self.spec("new"), idempotency: nil) }
                }
                #expect(refused == .overloaded)
            }
            for name in ["used", "kept", "manual"] { #expect(try await state(runtime, name) == .running) }
        }
    }

    @Test func `a request that comes during the standby keeps its sandbox, and the other waits on`() async throws {
        let node = try Node()
        try await node.serve(Self.small(1)) { runtime in
            _ = try await runtime.create(spec("a"), idempotency: nil)
            try await idle(node, runtime)
            let gate = node.world.close(.checkpoint)
            async let waiting = code { _ = try await runtime.create(self.spec("b"), idempotency: nil) }
            try await eventually("a is on its way out") { gate.waiting == 1 }
            async let use: Void = runtime.withGuest("a", .request("exec")) { _ in }
            try await eventually("it is called off") {
                let sandbox = try runtime.registry.find("a")
                if case .suspending(_, _, let suspension) = sandbox.machine.withLock({ $0.phase }) {
                    return suspension.calledOff
                }
                return false
            }
            node.world.open(.checkpoint)
            try await use
            #expect(try await state(runtime, "a") == .running)
            #expect(runtime.node().queue.waiting == 1)
            // When it is idle again, its turn comes.
            try await idle(node, runtime)
            runtime.lookAtAdmission()
            #expect(await waiting == nil)
            #expect(try await state(runtime, "a") == .standby)
        }
    }

    @Test func `when the machine's memory is short, idle sandboxes leave although all fits`() async throws {
        let node = try Node()
        let memory = FreeMemory()
        try await node.serve({
            Self.small(10)(&$0)
            $0.admission.memoryReserve = 1000
            $0.admission.availableMemory = { memory.bytes }
        }) { runtime in
            _ = try await runtime.create(spec("a"), idempotency: nil)
            node.clock.advance(1)
            _ = try await runtime.create(spec("b"), idempotency: nil)
            try await idle(node, runtime)
            runtime.lookAtAdmission()
            #expect(try await state(runtime, "a") == .running)
            memory.bytes = 999
            runtime.lookAtAdmission()
            try await eventually("a leaves") { try await state(runtime, "a") == .standby }
            // Nothing begins until there is memory again.
            async let created = code { _ = try await runtime.create(self.spec("c"), idempotency: nil) }
            try await eventually("it waits") { runtime.node().queue.waiting == 1 }
            memory.bytes = 1 << 40
            runtime.lookAtAdmission()
            #expect(await created == nil)
        }
    }

    @Test func `two changes at once lose nothing`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            _ = try await runtime.create(spec("a"), idempotency: nil)
            for round in 0..<30 {
                let timeout = Double(100 + round)
                async let one = runtime.update("a", SandboxChange(labels: ["round": "\(round)"]))
                async let two = runtime.update("a", SandboxChange(lifecycle: LifecycleChange(idleTimeout: timeout)))
                async let three = runtime.update("a", SandboxChange(lifecycle: LifecycleChange(maxAge: .set(timeout))))
                _ = try await (one, two, three)
                let shown = try await runtime.get("a")
                #expect(shown.labels == ["round": "\(round)"])
                #expect(shown.lifecycle.idleTimeout == timeout)
                #expect(shown.lifecycle.maxAge == timeout)
                let stored = try await runtime.store.sandboxes()[0].spec.value
                #expect(stored.labels == shown.labels)
                #expect(stored.lifecycle == shown.lifecycle)
            }
        }
    }
}

/// The memory that a machine seems to have left.
final class FreeMemory: Sendable {
    private let value = Mutex<Int64>(1 << 40)
    var bytes: Int64 {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

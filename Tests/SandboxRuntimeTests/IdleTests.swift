import GuestClient
import SandboxModel
import Synchronization
import Testing
import Wire

@testable import SandboxRuntime

@Suite(.timeLimit(.minutes(5)))
struct IdleTests {
    /// Looks at the sandboxes now, and waits until what follows is done.
    private func look(_ runtime: SandboxRuntime) async throws {
        runtime.lookAtAll()
        try await eventually("the supervisor's work is done") { runtime.operations.pending == 0 }
    }

    /// Lets time go on in steps of the supervisor.
    private func pass(_ seconds: Int, _ node: Node, _ runtime: SandboxRuntime) async throws {
        for _ in 0..<seconds {
            node.clock.advance(1)
            try await look(runtime)
        }
    }

    private func process(_ id: UInt32, tag: String, exitedAt: Timestamp? = nil) -> Wire.ProcessInfo {
        Wire.ProcessInfo(
            id: id, pid: id, arguments: ["python3", "server.py"], directory: "/", user: "root", tag: tag,
            terminal: false,
            startedUnixNanoseconds: 0, outputEnd: 0, outputStart: 0, attached: 0,
            exit: exitedAt.map {
                ProcessExit(code: 0, signal: 0, timedOut: false, endedUnixNanoseconds: $0.unixNanoseconds)
            })
    }

    @Test func `a sandbox that nobody uses falls asleep after its timeout, not before`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await pass(14, node, runtime)
            let before = try await runtime.get("one")
            #expect(before.state == .running)
            #expect(before.awakeBecause == [])
            #expect(before.idleAt == node.clock.now.adding(seconds: 1))
            try await pass(1, node, runtime)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `a request keeps it awake and restarts the time`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await runtime.withGuest("one", .stream("attach")) { _ async throws in
                try await pass(40, node, runtime)
                let busy = try await runtime.get("one")
                #expect(busy.awakeBecause == ["stream: attach (1)"])
                #expect(busy.idleAt == nil)
                #expect(busy.lastActiveAt == node.clock.now)
            }
            try await pass(14, node, runtime)
            #expect(try await runtime.get("one").state == .running)
            try await pass(1, node, runtime)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `a sandbox that nobody uses dozes, and whoever uses it rouses it first`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            var spec = SandboxSpec(name: "one")
            spec.lifecycle.idleTimeout = 3600
            _ = try await runtime.create(spec, idempotency: nil)
            let processes = try #require(node.world.processes.first)
            @Sendable func dozes() -> Bool { processes.state.withLock { $0.dozes } }
            try await look(runtime)
            #expect(!dozes())
            try await pass(1, node, runtime)
            #expect(dozes())
            try await runtime.withGuest("one", .observer) { _ in #expect(dozes()) }
            for _ in 0..<2 {
                try await runtime.withGuest("one", .request("exec")) { _ async throws in
                    #expect(!dozes())
                    try await pass(3, node, runtime)
                    #expect(!dozes(), "It is in use.")
                }
                try await pass(1, node, runtime)
                #expect(dozes())
            }
        }
    }

    @Test func `a sandbox does not doze while a process runs in it`() {
        func at(_ seconds: Double) -> Moment { Moment(nanoseconds: 0).advanced(by: seconds) }
        let second = at(1)
        var idle = IdleState(now: at(0))
        #expect(!idle.mayDoze(now: at(0.4), after: 0.5))
        #expect(idle.mayDoze(now: second, after: 0.5))
        let whileBusy = idle.doze(isQuiet: false, lookAgainAt: at(31))
        #expect(!whileBusy)
        #expect(!idle.mayDoze(now: at(30), after: 0.5))
        #expect(idle.mayDoze(now: at(31), after: 0.5))
        idle.begin(.request("exec"))
        let whileUsed = idle.doze(isQuiet: true, lookAgainAt: second)
        #expect(!whileUsed, "Somebody began to use it while it was looked at.")
        idle.end(.request("exec"), now: at(40))
        #expect(!idle.mayDoze(now: at(40.4), after: 0.5))
        idle.note(cpu: 0, now: at(41), threshold: 0.08)
        idle.note(cpu: 500_000_000, now: at(42), threshold: 0.08)
        #expect(!idle.mayDoze(now: at(42), after: 0.5), "Something in it computes.")
    }

    @Test func `observers keep nobody awake`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            for _ in 0..<15 {
                _ = try await runtime.get("one")
                _ = try await runtime.metrics("one")
                _ = try await runtime.list(SandboxFilter(), cursor: nil, limit: 10)
                try await runtime.withGuest("one", .observer) { _ in }
                try await pass(1, node, runtime)
            }
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `CPU above the threshold keeps it awake, below it does not`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            for _ in 0..<30 {
                node.processes(made)?.state.withLock { $0.cpu += 370_000_000 }
                try await pass(1, node, runtime)
            }
            #expect(try await runtime.get("one").awakeBecause == ["cpu 37% of a core"])
            for _ in 0..<20 {
                node.processes(made)?.state.withLock { $0.cpu += 10_000_000 }
                try await pass(1, node, runtime)
            }
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `a foreground process keeps it awake until it exits, a background process does not`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let guest = try #require(node.processes(made)?.guest)
            guest.answers.withLock { $0.processes = [process(3, tag: "foreground"), process(4, tag: "background")] }
            try await pass(40, node, runtime)
            let busy = try await runtime.get("one")
            #expect(busy.awakeBecause == ["process 3 (python3 server.py) runs in the foreground"])
            let exited = node.clock.now
            guest.answers.withLock {
                $0.processes = [process(3, tag: "foreground", exitedAt: exited), process(4, tag: "background")]
            }
            // Idle since the exit, not since it was noticed.
            try await pass(14, node, runtime)
            #expect(try await runtime.get("one").state == .running)
            try await pass(2, node, runtime)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `blockers put a standby off, told once`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let guest = try #require(node.processes(made)?.guest)
            guest.answers.withLock { $0.blockers = ["pid 12 (python3) holds the deleted file /root/x"] }
            try await pass(30, node, runtime)
            let awake = try await runtime.get("one")
            #expect(awake.state == .running)
            #expect(awake.awakeBecause == ["standby blocked: pid 12 (python3) holds the deleted file /root/x"])
            let events = try await runtime.events(after: nil, sandbox: "one", limit: 100)
            #expect(events.filter { $0.type == "sandbox.standby_postponed" }.count == 1)
            #expect(await code { _ = try await runtime.standby("one") } == .checkpointBlocked)
            guest.answers.withLock { $0.blockers = [] }
            try await pass(4, node, runtime)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `a standby that fails is tried again later`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            node.world.fail(.checkpoint)
            try await pass(16, node, runtime)
            #expect(try await runtime.get("one").awakeBecause == ["standby failed, to be tried again: made to fail"])
            try await pass(4, node, runtime)
            #expect(node.world.count(.checkpoint) == 1)
            try await pass(10, node, runtime)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `a request calls off a standby for idleness`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory
            let gate = node.world.close(.checkpoint)
            node.clock.advance(16)
            runtime.lookAtAll()
            try await eventually("the checkpoint began") { gate.waiting == 1 }
            async let request: Void = runtime.withGuest("one", .request("exec")) { _ in }
            try await eventually("the request waits") {
                try runtime.registry.find("one").machine.withLock { machine in
                    guard case .suspending(_, _, let suspension) = machine.phase else { return false }
                    return suspension.calledOff
                }
            }
            node.world.open(.checkpoint)
            try await request
            #expect(try await runtime.get("one").wakes == 0)
            #expect(node.processes(made)?.memory == memory)
            #expect(node.world.count(.restore) == 0)
        }
    }

    @Test(arguments: [(IdleAction.stop, SandboxState?.some(.stopped)), (.delete, nil), (.none, .running)])
    func `on_idle is carried out`(action: IdleAction, state: SandboxState?) async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let spec = SandboxSpec(name: "one", lifecycle: LifecyclePolicy(idleTimeout: 5, onIdle: action))
            _ = try await runtime.create(spec, idempotency: nil)
            try await pass(7, node, runtime)
            let found = try? await runtime.get("one")
            #expect(found?.state == state)
        }
    }

    @Test func `an ephemeral sandbox is deleted when it has slept long enough, a durable one is not`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(), idempotency: nil)
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await pass(16, node, runtime)
            #expect(try await runtime.get(made.id.rawValue).state == .standby)
            node.clock.advance(3590)
            try await look(runtime)
            #expect(try await runtime.get(made.id.rawValue).state == .standby)
            node.clock.advance(30)
            try await look(runtime)
            #expect(await code { _ = try await runtime.get(made.id.rawValue) } == .sandboxNotFound)
            #expect(try await runtime.get("one").state == .standby)
        }
    }

    @Test func `max_age deletes an ephemeral sandbox and stops a durable one`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let policy = LifecyclePolicy(onIdle: .none, maxAge: 100)
            let made = try await runtime.create(SandboxSpec(lifecycle: policy), idempotency: nil)
            _ = try await runtime.create(SandboxSpec(name: "one", lifecycle: policy), idempotency: nil)
            try await pass(99, node, runtime)
            #expect(try await runtime.get("one").state == .running)
            try await pass(1, node, runtime)
            #expect(await code { _ = try await runtime.get(made.id.rawValue) } == .sandboxNotFound)
            #expect(try await runtime.get("one").state == .stopped)
            #expect(await code { _ = try await runtime.resume("one") } == .invalidState)
            _ = try await runtime.update("one", SandboxChange(lifecycle: LifecycleChange(maxAge: .clear)))
            #expect(try await runtime.resume("one").state == .running)
        }
    }
}

import GuestClient
import SandboxModel
import SandboxRuntime
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5)))
struct LifecycleTests {
    @Test func `a sandbox sleeps and wakes with its memory`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            #expect(made.state == .running)
            let memory = node.processes(made)?.memory
            let asleep = try await runtime.standby("one")
            #expect(asleep.state == .standby)
            #expect((asleep.checkpointBytes ?? 0) > 0)
            #expect(node.world.processes.isEmpty)
            let seen = try await runtime.withGuest("one", .request("exec")) { context in
                #expect(context.sandbox.awakeBecause == ["request: exec"])
                #expect(context.defaults.user == "agent")
                #expect(context.defaults.environment["B"] == "1")
                return node.processes(made)?.memory
            }
            #expect(seen == memory)
            let woken = try await runtime.get("one")
            #expect(woken.state == .running)
            #expect(woken.wakes == 1)
            #expect(woken.checkpointBytes == nil)
        }
    }

    @Test func `a hundred requests to a sleeping sandbox cause one restore`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(), idempotency: nil)
            _ = try await runtime.standby(made.id.rawValue)
            _ = node.world.close(.restore)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask { try await runtime.withGuest(made.id.rawValue, .request("exec")) { _ in } }
                }
                try await eventually("the restore began") { node.world.count(.restore) == 1 }
                node.world.open(.restore)
                try await group.waitForAll()
            }
            #expect(node.world.count(.restore) == 1)
            #expect(try await runtime.get(made.id.rawValue).wakes == 1)
        }
    }

    @Test func `pause and resume keep the processes`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            #expect(try await runtime.pause("one").state == .paused)
            #expect(node.processes(made)?.state.withLock { $0.paused } == true)
            #expect(try await runtime.pause("one").state == .paused)
            #expect(try await runtime.resume("one").state == .running)
            #expect(node.processes(made)?.state.withLock { $0.paused } == false)
            _ = try await runtime.pause("one")
            try await runtime.withGuest("one", .request("exec")) { _ in }
            #expect(try await runtime.get("one").state == .running)
            #expect(node.world.count(.start) == 1)
        }
    }

    @Test func `a stopped sandbox starts afresh on its files`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let upper = node.sandboxPath(made) + "/upper"
            try writeText("kept", to: upper + "/file")
            let before = node.processes(made)?.memory
            #expect(try await runtime.stop("one").state == .stopped)
            #expect(node.world.processes.isEmpty)
            #expect(try await runtime.resume("one").state == .running)
            #expect(node.processes(made)?.memory != before)
            #expect(try readText(upper + "/file") == "kept")
        }
    }

    @Test func `a paused sandbox can sleep, and a sleeping one can be stopped`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory
            _ = try await runtime.pause("one")
            #expect(try await runtime.standby("one").state == .standby)
            _ = try await runtime.resume("one")
            #expect(node.processes(made)?.memory == memory)
            _ = try await runtime.standby("one")
            #expect(try await runtime.stop("one").state == .stopped)
            _ = try await runtime.resume("one")
            #expect(node.processes(made)?.memory != memory)
        }
    }

    @Test func `commands in the wrong state are refused`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            _ = try await runtime.standby("one")
            #expect(await code { _ = try await runtime.pause("one") } == .invalidState)
            #expect(await code { try await runtime.withGuest("one", .observer) { _ in } } == .invalidState)
            _ = try await runtime.stop("one")
            #expect(await code { _ = try await runtime.standby("one") } == .invalidState)
            #expect(await code { _ = try await runtime.get("two") } == .sandboxNotFound)
            #expect(await code { try await runtime.delete("two") } == .sandboxNotFound)
        }
    }

    @Test func `without auto_resume a request does not wake`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let spec = SandboxSpec(name: "one", lifecycle: LifecyclePolicy(autoResume: false))
            _ = try await runtime.create(spec, idempotency: nil)
            _ = try await runtime.standby("one")
            #expect(await code { try await runtime.withGuest("one", .request("exec")) { _ in } } == .invalidState)
            #expect(try await runtime.resume("one").state == .running)
        }
    }

    @Test func `delete removes everything`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await runtime.delete("one")
            #expect(node.world.processes.isEmpty)
            #expect(await code { _ = try await runtime.get("one") } == .sandboxNotFound)
            #expect(throws: (any Error).self) { try readText(node.sandboxPath(made)) }
            let types = try await runtime.events(after: nil, sandbox: made.id.rawValue, limit: 100).map(\.type)
            #expect(types == ["sandbox.created", "sandbox.running", "sandbox.deleted"])
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
        }
    }

    @Test(arguments: [Point.start, .restore, .checkpoint])
    func `delete overtakes what is under way`(point: Point) async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "other"), idempotency: nil)
            if point != .start { _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil) }
            if point == .restore { _ = try await runtime.standby("one") }
            let gate = node.world.close(point)
            try await withThrowingTaskGroup(of: SandboxError.Code?.self) { group in
                group.addTask {
                    await code {
                        switch point {
                        case .start: _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
                        case .restore: _ = try await runtime.resume("one")
                        default: _ = try await runtime.standby("one")
                        }
                    }
                }
                try await eventually("it waits at the gate") { gate.waiting == 1 }
                group.addTask { await code { try await runtime.delete("one") } }
                try await eventually("the deletion began") {
                    try await runtime.get("one").state == .stopping
                }
                node.world.open(point)
                let codes = try await group.reduce(into: []) { $0.append($1) }
                #expect(codes.contains(nil))
                let allowed: Set<SandboxError.Code?> = [nil, .invalidState, .driverFailed, .guestFailed, .cancelled]
                #expect(codes.count == 2 && codes.contains { $0 != nil } && allowed.isSuperset(of: codes), "\(codes)")
            }
            #expect(await code { _ = try await runtime.get("one") } == .sandboxNotFound)
            #expect(node.world.processes.count == 1)
        }
    }

    @Test func `who uses a sandbox that is told to sleep hears that it is unavailable`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await runtime.withGuest("one", .request("wait")) { context in
                async let waiting = code { _ = try await context.session.wait(process: FakeGuest.endless) }
                try await eventually("it waits") { context.session.openStreams > 0 }
                _ = try await runtime.standby("one")
                #expect(await waiting == .unavailable)
            }
            // The use that ended with the session keeps nobody awake after the wake.
            _ = try await runtime.resume("one")
            #expect(try await runtime.get("one").awakeBecause == [])
            #expect(node.processes(made) != nil)
        }
    }

    @Test func `cancelling a caller does not cancel the transition`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let gate = node.world.close(.checkpoint)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { #expect(await code { _ = try await runtime.standby("one") } == .cancelled) }
                try? await eventually("it waits at the gate") { gate.waiting == 1 }
                group.cancelAll()
            }
            node.world.open(.checkpoint)
            try await eventually("it is asleep") { try await runtime.get("one").state == .standby }
        }
    }

    @Test func `followed events come once and in order`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let stream = runtime.followEvents(after: 0, sandbox: nil)
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            _ = try await runtime.standby("one")
            _ = try await runtime.resume("one")
            try await runtime.delete("one")
            var types: [String] = []
            var sequences: [Int64] = []
            for await event in stream {
                types.append(event.type)
                sequences.append(event.sequence)
                if event.type == "sandbox.deleted" { break }
            }
            #expect(
                types == [
                    "sandbox.created", "sandbox.running", "sandbox.standby", "sandbox.resuming", "sandbox.running",
                    "sandbox.deleted",
                ])
            #expect(sequences == sequences.sorted())
            #expect(Set(sequences).count == sequences.count)
        }
    }
}

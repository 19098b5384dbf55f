import Foundation
import GuestClient
import SandboxModel
import Synchronization
import Testing

@testable import SandboxRuntime

@Suite(.timeLimit(.minutes(5)))
struct FailureTests {
    @Test func `a creation that fails leaves nothing`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            node.world.fail(.start)
            #expect(
                await code { _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil) } == .driverFailed
            )
            #expect(await code { _ = try await runtime.get("one") } == .sandboxNotFound)
            #expect(try FileManager.default.contentsOfDirectory(atPath: node.path + "/sandboxes") == [])
            #expect(try await runtime.list(SandboxFilter(), cursor: nil, limit: 10).items.isEmpty)
            // The name is free again.
            #expect(try await runtime.create(SandboxSpec(name: "one"), idempotency: nil).state == .running)
        }
    }

    @Test(arguments: [Point.pause, .checkpoint])
    func `a standby that fails leaves the sandbox running`(point: Point) async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory
            node.world.fail(point)
            #expect(await code { _ = try await runtime.standby("one") } == .driverFailed)
            #expect(try await runtime.get("one").state == .running)
            #expect(node.processes(made)?.memory == memory)
            #expect(node.processes(made)?.state.withLock { $0.paused } == false)
            let images = try? FileManager.default.contentsOfDirectory(atPath: node.sandboxPath(made) + "/checkpoint")
            #expect(images ?? [] == [])
            // And the next one works.
            #expect(try await runtime.standby("one").state == .standby)
        }
    }

    @Test func `a standby of a paused sandbox that fails leaves it paused`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            _ = try await runtime.pause("one")
            node.processes(made)?.guest.answers.withLock { $0.blockers = ["pid 2 (cat) holds a deleted file"] }
            #expect(await code { _ = try await runtime.standby("one") } == .checkpointBlocked)
            #expect(try await runtime.get("one").state == .paused)
            #expect(node.processes(made)?.state.withLock { $0.paused } == true)
        }
    }

    @Test func `a checkpoint that kills the sandbox keeps its files, and a request starts it`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try writeText("kept", to: node.sandboxPath(made) + "/upper/file")
            let gate = node.world.close(.checkpoint)
            async let standby = code { _ = try await runtime.standby("one") }
            try await eventually("the checkpoint began") { gate.waiting == 1 }
            node.world.crash()
            node.world.open(.checkpoint)
            #expect(await standby == .driverFailed)
            let stopped = try await runtime.get("one")
            #expect(stopped.state == .stopped)
            #expect(stopped.problem?.code == .memoryLost)
            try await runtime.withGuest("one", .request("exec")) { _ in }
            #expect(try readText(node.sandboxPath(made) + "/upper/file") == "kept")
            #expect(try await runtime.get("one").problem?.code == .memoryLost)
        }
    }

    @Test func `a restore that fails keeps the memory`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory
            _ = try await runtime.standby("one")
            node.world.fail(.restore, times: 2)
            for _ in 0..<2 {
                #expect(await code { try await runtime.withGuest("one", .request("exec")) { _ in } } == .driverFailed)
                #expect(try await runtime.get("one").state == .standby)
            }
            try await runtime.withGuest("one", .request("exec")) { _ in }
            #expect(node.processes(made)?.memory == memory)
        }
    }

    @Test(arguments: ["missing", "cut", "altered", "manifest"])
    func `memory that is proven unusable is given up, and said so`(damage: String) async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory ?? ""
            try writeText("kept", to: node.sandboxPath(made) + "/upper/file")
            _ = try await runtime.standby("one")
            let image = node.sandboxPath(made) + "/checkpoint/1"
            switch damage {
            case "missing": try FileManager.default.removeItem(atPath: image)
            case "cut": try writeText(String(memory.dropLast(3)), to: image + "/memory.img")
            case "altered": try writeText(String(memory.reversed()), to: image + "/memory.img")
            default: try writeText("{", to: image + "/manifest.json")
            }
            try await runtime.withGuest("one", .request("exec")) { _ in }
            let woken = try await runtime.get("one")
            #expect(woken.problem?.code == .memoryLost)
            #expect(node.processes(made)?.memory != memory)
            #expect(try readText(node.sandboxPath(made) + "/upper/file") == "kept")
            let types = try await runtime.events(after: nil, sandbox: "one", limit: 100).map(\.type)
            #expect(types.contains("sandbox.memory_lost"))
        }
    }

    @Test func `memory of another version of the isolation software waits for that version`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            _ = try await runtime.standby("one")
        }
        try await node.serve(version: "2") { runtime async throws in
            #expect(await code { _ = try await runtime.resume("one") } == .unsupported)
            #expect(try await runtime.get("one").state == .standby)
        }
        try await node.serve { runtime async throws in #expect(try await runtime.resume("one").state == .running) }
    }

    @Test func `processes that end by themselves are noticed`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            node.processes(made)?.end(code: 1)
            try await eventually("it is stopped") { try await runtime.get("one").state == .stopped }
            #expect(try await runtime.get("one").problem?.code == .memoryLost)
            try await runtime.withGuest("one", .request("exec")) { _ in }
            #expect(node.world.count(.start) == 2)
        }
    }

    @Test func `a session that breaks is opened again, and given up after some attempts`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            let memory = node.processes(made)?.memory
            node.processes(made)?.guest.hangUp()
            try await eventually("it was reattached") { node.world.count(.reattach) == 1 }
            try await runtime.withGuest("one", .request("exec")) { try await $0.session.ping(deadline: .seconds(30)) }
            #expect(node.processes(made)?.memory == memory)
            node.world.fail(.reattach, times: 3)
            node.processes(made)?.guest.hangUp()
            try await eventually("it is stopped") { try await runtime.get("one").state == .stopped }
            #expect(node.world.processes.isEmpty)
        }
    }

    @Test func `a deletion that fails can be repeated, and nothing else is possible meanwhile`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            node.world.fail(.destroy, times: 3)
            #expect(await code { try await runtime.delete("one") } == .driverFailed)
            #expect(try await runtime.get("one").state == .failed)
            #expect(await code { _ = try await runtime.resume("one") } == .invalidState)
            try await runtime.delete("one")
            #expect(await code { _ = try await runtime.get("one") } == .sandboxNotFound)
        }
    }

    @Test func `a standby that cannot end the processes does not let others use the files`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            node.world.fail(.destroy, times: 3)
            #expect(await code { _ = try await runtime.standby("one") } == .driverFailed)
            #expect(try await runtime.get("one").state == .failed)
            try await runtime.delete("one")
            #expect(node.world.processes.isEmpty)
        }
    }

    @Test func `an idempotency key makes one sandbox`() async throws {
        let node = try Node()
        let key = Idempotency(key: "k", fingerprint: "f")
        let first = try await node.serve { runtime async throws in
            let gate = node.world.close(.start)
            let ids = try await withThrowingTaskGroup(of: SandboxID.self) { group in
                for _ in 0..<20 { group.addTask { try await runtime.create(SandboxSpec(), idempotency: key).id } }
                try await eventually("it is being created") { gate.waiting == 1 }
                #expect(
                    await code {
                        _ = try await runtime.create(
                            SandboxSpec(), idempotency: Idempotency(key: "k", fingerprint: "g"))
                    } == .idempotencyConflict)
                node.world.open(.start)
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            #expect(node.world.count(.start) == 1)
            return ids
        }
        try await node.serve { runtime async throws in
            let again = try await runtime.create(SandboxSpec(), idempotency: key)
            #expect(first.contains(again.id))
            #expect(
                await code {
                    _ = try await runtime.create(SandboxSpec(), idempotency: Idempotency(key: "k", fingerprint: "g"))
                } == .idempotencyConflict)
            node.clock.advance(25 * 3600)
            let later = try await runtime.create(SandboxSpec(), idempotency: key)
            #expect(!first.contains(later.id))
        }
    }

    @Test func `a failed creation frees its idempotency key`() async throws {
        let node = try Node()
        let key = Idempotency(key: "k", fingerprint: "f")
        try await node.serve { runtime async throws in
            node.world.fail(.start)
            #expect(await code { _ = try await runtime.create(SandboxSpec(), idempotency: key) } == .driverFailed)
            #expect(try await runtime.create(SandboxSpec(), idempotency: key).state == .running)
        }
    }

    @Test func `what cannot be created is refused`() async throws {
        let node = try Node()
        try await node.serve { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            #expect(
                await code { _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil) } == .nameTaken)
            #expect(
                await code { _ = try await runtime.create(SandboxSpec(template: "none"), idempotency: nil) }
                    == .templateNotFound)
            #expect(
                await code { _ = try await runtime.create(SandboxSpec(name: "No"), idempotency: nil) } == .invalidName)
        }
    }
}

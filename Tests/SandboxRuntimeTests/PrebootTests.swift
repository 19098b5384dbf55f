import Foundation
import GuestClient
import SandboxModel
import Synchronization
import Testing

@testable import SandboxRuntime

@Suite(.timeLimit(.minutes(5)))
struct PrebootPoolTests {
    private struct Member: Sendable, Identifiable { let id: Int }

    private func kind(_ name: String) -> PrebootKind {
        PrebootKind(
            tier: "gvisor", template: name, templateVersion: "1", initLayer: "i", limits: .init(), durable: false)
    }

    private func moment(_ seconds: Double) -> Moment { Moment(nanoseconds: Int64(seconds * 1e9)) }

    /// Boots all that the pool wants at a moment.
    private func fill(_ pool: inout PrebootPool<Member>, at seconds: Double) -> [String] {
        var booted: [String] = []
        while case .boot(let kind) = pool.next(now: moment(seconds), mayBoot: true) {
            booted.append(kind.template)
            let isTaken = pool.booted(Member(id: Int.random(in: 0...Int.max)), kind, now: moment(seconds))
            #expect(isTaken)
        }
        return booted
    }

    @Test func `nothing is booted before somebody asks, and one after that`() {
        var pool = PrebootPool<Member>(maximum: 4)
        var filled = fill(&pool, at: 0)
        #expect(filled == [])
        pool.note(kind("a"), now: moment(1))
        filled = fill(&pool, at: 1)
        #expect(filled == ["a"])
        let taken = [pool.take(kind("b")), pool.take(kind("a")), pool.take(kind("a"))].map { $0 != nil }
        #expect(taken == [false, true, false])
        filled = fill(&pool, at: 1)
        #expect(filled == ["a"])
    }

    @Test func `a busy kind gets more places, never more than there are`() {
        var pool = PrebootPool<Member>(maximum: 4)
        for _ in 0..<20 { pool.note(kind("a"), now: moment(0)) }
        var filled = fill(&pool, at: 0)
        #expect(filled.count == 3)
        for _ in 0..<1000 { pool.note(kind("a"), now: moment(1)) }
        pool.note(kind("b"), now: moment(1))
        filled = fill(&pool, at: 1)
        #expect(filled == ["a"])
        #expect(pool.count == 4)
    }

    @Test func `what nobody has asked for in a long time is dropped`() {
        var pool = PrebootPool<Member>(maximum: 4)
        pool.note(kind("a"), now: moment(0))
        _ = fill(&pool, at: 0)
        guard case .wait = pool.next(now: moment(500), mayBoot: true) else {
            Issue.record("it was dropped too early")
            return
        }
        guard case .drop = pool.next(now: moment(700), mayBoot: true) else {
            Issue.record("it was kept")
            return
        }
        #expect(pool.count == 0)
        let filled = fill(&pool, at: 700)
        #expect(filled == [])
    }

    @Test func `after a failure it rests`() {
        var pool = PrebootPool<Member>(maximum: 4)
        pool.note(kind("a"), now: moment(0))
        guard case .boot(let wanted) = pool.next(now: moment(0), mayBoot: true) else {
            Issue.record("it did not begin")
            return
        }
        let isTaken = pool.booted(nil, wanted, now: moment(0))
        #expect(!isTaken)
        var filled = fill(&pool, at: 1)
        #expect(filled == [])
        filled = fill(&pool, at: 11)
        #expect(filled == ["a"])
    }

    @Test func `nothing begins while it may not, and nothing comes in after the end`() {
        var pool = PrebootPool<Member>(maximum: 4)
        pool.note(kind("a"), now: moment(0))
        guard case .wait = pool.next(now: moment(0), mayBoot: false) else {
            Issue.record("it began")
            return
        }
        _ = fill(&pool, at: 0)
        let closed = pool.close().count
        let isKept = pool.giveBack(Member(id: 1), kind("a"))
        let isTaken = pool.booted(Member(id: 2), kind("a"), now: moment(1))
        #expect((closed, pool.count) == (1, 0))
        #expect(!isKept && !isTaken)
    }

    @Test func `kinds without number do not fill the memory`() {
        var pool = PrebootPool<Member>(maximum: 4)
        for number in 0..<10_000 { pool.note(kind("k\(number)"), now: moment(Double(number) / 100)) }
        let filled = fill(&pool, at: 100)
        #expect(filled.count == 4)
    }
}

@Suite struct HostLoadTests {
    @Test(arguments: [(0, false), (30, false), (50, true), (100, true)])
    func `there is room when enough of the cores was idle of late`(percent: Int, hasRoom: Bool) {
        var load = HostLoad()
        var idle = 0
        // What was before the window does not count.
        for tick in 0..<40 {
            idle += tick < 20 ? 100 - percent : percent
            load.add(
                idle: UInt64(idle), of: UInt64(100 * (tick + 1)), at: Moment(nanoseconds: Int64(tick) * 50_000_000))
            if tick < 3 { #expect(!load.hasRoom) }
        }
        #expect(load.hasRoom == hasRoom)
    }
}

@Suite(.timeLimit(.minutes(5)))
struct PrebootTests {
    private func prebooting(_ configuration: inout RuntimeConfiguration) { configuration.preboot = 2 }

    /// Waits until so many wait; the pool's clock goes on meanwhile.
    private func prebooted(_ count: Int, _ node: Node, _ runtime: SandboxRuntime) async throws {
        try await eventually("\(count) are booted ahead") {
            node.clock.advance(0.2)
            return runtime.health().prebooted == count
        }
    }

    @Test func `a creation takes what was booted ahead`() async throws {
        let node = try Node()
        try await node.serve(prebooting) { runtime async throws in
            try await prebooted(1, node, runtime)
            let waiting = try #require(node.world.processes.first)
            #expect(waiting.state.withLock { $0.paused })
            #expect(try await runtime.list(SandboxFilter(), cursor: nil, limit: 10).items.isEmpty)
            let made = try await runtime.create(SandboxSpec(), idempotency: nil)
            #expect(made.state == .running)
            #expect(node.processes(made) === waiting)
            #expect(!waiting.state.withLock { $0.paused })
            try await runtime.withGuest(made.id.rawValue, .request("exec")) { _ in }
            _ = try await runtime.standby(made.id.rawValue)
            try await runtime.withGuest(made.id.rawValue, .request("exec")) { _ in }
            try await runtime.delete(made.id.rawValue)
        }
    }

    @Test func `other limits are not satisfied by it, but booted ahead the next time`() async throws {
        let node = try Node()
        try await node.serve(prebooting) { runtime async throws in
            try await prebooted(1, node, runtime)
            let before = node.world.processes.map(\.id)
            let spec = SandboxSpec(limits: .init(memoryMiB: 512))
            let made = try await runtime.create(spec, idempotency: nil)
            #expect(!before.contains(try #require(node.processes(made)).id))
            try await prebooted(2, node, runtime)
            let waiting = Set(node.world.processes.filter { $0.state.withLock { $0.paused } }.map(\.id))
            let second = try await runtime.create(spec, idempotency: nil)
            #expect(waiting.contains(try #require(node.processes(second)).id))
        }
    }

    @Test func `one that died is replaced by a fresh start`() async throws {
        let node = try Node()
        try await node.serve(prebooting) { runtime async throws in
            try await prebooted(1, node, runtime)
            node.world.fail(.resume)
            let made = try await runtime.create(SandboxSpec(name: nil), idempotency: nil)
            #expect(made.state == .running)
            try await runtime.withGuest(made.id.rawValue, .request("exec")) { _ in }
            #expect(node.processes(made)?.state.withLock { $0.paused } == false)
        }
    }

    @Test func `one that dies while it waits is forgotten`() async throws {
        let node = try Node()
        try await node.serve(prebooting) { runtime async throws in
            try await prebooted(1, node, runtime)
            let dead = try #require(node.world.processes.first)
            dead.end(code: 137)
            try await eventually("it is removed") { !node.world.processes.contains { $0.id == dead.id } }
            let made = try await runtime.create(SandboxSpec(), idempotency: nil)
            #expect(made.state == .running)
        }
    }

    @Test func `a refused creation gives it back`() async throws {
        let node = try Node()
        try await node.serve(prebooting) { runtime async throws in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await prebooted(2, node, runtime)
            await #expect(throws: SandboxError.self) {
                try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            }
            #expect(runtime.health().prebooted == 2)
            let key = Idempotency(key: "k", fingerprint: "f")
            let first = try await runtime.create(SandboxSpec(), idempotency: key)
            try await prebooted(2, node, runtime)
            #expect(try await runtime.create(SandboxSpec(), idempotency: key).id == first.id)
            #expect(runtime.health().prebooted == 2)
        }
    }

    @Test func `the next server removes what a killed one had booted ahead`() async throws {
        let node = try Node()
        let made = try await node.serve(prebooting) { runtime async throws in
            let made = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            try await prebooted(2, node, runtime)
            return made
        }
        #expect(node.world.processes.count == 3)
        try await node.serve { runtime async throws in
            #expect(node.world.processes.count == 1)
            #expect(try await runtime.get("one").state == .running)
            let directories = try FileManager.default.contentsOfDirectory(atPath: node.path + "/sandboxes")
            #expect(directories == [made.id.rawValue])
        }
    }

    @Test func `without memory to spare none is booted, and those that wait are given up`() async throws {
        let node = try Node()
        let memory = Spare()
        try await node.serve({
            $0.preboot = 2
            $0.admission.availableMemory = { memory.bytes }
        }) { runtime async throws in
            try await prebooted(1, node, runtime)
            memory.bytes = 0
            runtime.lookAtAdmission()
            try await prebooted(0, node, runtime)
            try await eventually("it is removed") { node.world.processes.isEmpty }
            memory.bytes = 64 << 30
            #expect(try await runtime.create(SandboxSpec(), idempotency: nil).state == .running)
        }
    }
}

private final class Spare: Sendable {
    private let value = Mutex<Int64>(64 << 30)
    var bytes: Int64 {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

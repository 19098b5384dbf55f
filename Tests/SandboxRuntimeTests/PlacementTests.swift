import SandboxModel
import Synchronization
import Testing

@testable import SandboxRuntime

struct PlacementTests {
    private let ids = (0..<6).map { _ in SandboxID() }

    private func at(_ seconds: Double) -> Moment { Moment(nanoseconds: 0).advanced(by: seconds) }

    @Test func `nobody is confined while there are cores for all that are in use`() {
        var placement = CorePlacement(cores: [0, 1])
        for id in ids.prefix(2) {
            let core = placement.enter(id, now: at(0))
            #expect(core == nil)
        }
        let again = placement.enter(ids[0], now: at(0))
        #expect(again == nil, "A second use of the same one needs no other core.")
        #expect(!placement.isActive)
    }

    @Test func `beyond that they are spread evenly, over the cores that there are`() {
        var placement = CorePlacement(cores: [3, 7])
        let cores = ids.map { id in placement.enter(id, now: at(0)) }
        #expect(cores == [nil, nil, 7, 3, 7, 3])
        #expect(Set(placement.placed) == Set(ids.dropFirst(2)))
    }

    @Test func `one core, or none that is known, decides nothing`() {
        for cores in [[], [0]] {
            var placement = CorePlacement(cores: cores)
            for id in ids {
                let core = placement.enter(id, now: at(0))
                #expect(core == nil)
            }
        }
    }

    @Test func `who needs much is let go, and not confined again in the same use`() {
        var placement = CorePlacement(cores: [0, 1])
        for id in ids.prefix(4) { _ = placement.enter(id, now: at(0)) }
        let cpu: (UInt64) -> [SandboxID: UInt64] = { [ids[2]: 5_000_000_000 + $0, ids[3]: 20_000_000] }
        let first = placement.look(now: at(0.1), cpu: cpu(0))
        #expect(first == [], "What it used before says nothing.")
        let second = placement.look(now: at(0.2), cpu: cpu(99_000_000))
        #expect(second == [])
        let third = placement.look(now: at(0.3), cpu: cpu(100_000_000))
        #expect(third == [ids[2]])
        placement.release(ids[2])
        let again = placement.enter(ids[2], now: at(0.4))
        #expect(again == nil)
        for _ in 0..<2 { placement.leave(ids[2], now: at(0.5)) }
        let later = placement.enter(ids[2], now: at(0.6))
        #expect(later != nil, "The next use is another one.")
    }

    @Test func `who is not used any more is let go soon, not at once`() {
        var placement = CorePlacement(cores: [0, 1])
        for id in ids.prefix(3) { _ = placement.enter(id, now: at(0)) }
        placement.leave(ids[2], now: at(1))
        let soon = placement.look(now: at(1.1), cpu: [:])
        #expect(soon == [])
        let back = placement.enter(ids[2], now: at(1.15))
        #expect(back == nil, "It is where it was.")
        placement.leave(ids[2], now: at(1.2))
        let later = placement.look(now: at(1.41), cpu: [:])
        #expect(later == [ids[2]])
    }

    @Test func `one that is gone is forgotten`() {
        var placement = CorePlacement(cores: [0, 1])
        for id in ids.prefix(3) { _ = placement.enter(id, now: at(0)) }
        let released = placement.look(now: at(0.1), cpu: [:])
        #expect(released == [ids[2]], "Its CPU time cannot be read.")
    }

    @Test func `the runtime confines those in use beyond the cores, and lets them go`() async throws {
        let node = try Node()
        try await node.serve({ $0.cores = [0, 1] }) { runtime async throws in
            let names = ["a", "b", "c"]
            for name in names {
                _ = try await runtime.create(
                    SandboxSpec(name: name, lifecycle: LifecyclePolicy(idleTimeout: 3600)), idempotency: nil)
            }
            @Sendable func cores() -> [Int] {
                node.world.processes.compactMap { process in process.state.withLock { $0.core } }
            }
            try await runtime.withGuest("a", .request("exec")) { _ async throws in
                try await runtime.withGuest("b", .request("exec")) { _ async throws in
                    try await runtime.withGuest("c", .stream("attach")) { _ in #expect(cores() == []) }
                    try await runtime.withGuest("c", .request("exec")) { _ in #expect(cores() == [1]) }
                }
            }
            #expect(cores() == [1])
            node.clock.advance(1)
            await runtime.lookAtPlacement()
            #expect(cores() == [])
        }
    }
}

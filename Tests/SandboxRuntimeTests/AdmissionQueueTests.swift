import SandboxModel
import Testing

@testable import SandboxRuntime

/// Who is let in, in which order: the queue alone.
@Suite struct AdmissionQueueTests {
    private func policy(
        sandboxes: Int = 2, memory: Int = 1000, parallel: Int = 100, limit: Int = 1024
    ) -> AdmissionPolicy {
        var policy = AdmissionPolicy()
        policy.capacity = NodeCapacity(memoryMiB: memory, cpus: 100, sandboxes: sandboxes)
        policy.overcommit = Overcommit(memory: 1, cpus: 1)
        policy.memoryReserve = 100
        policy.parallelStarts = parallel
        policy.queueLimit = limit
        return policy
    }

    private func ticket(
        _ id: UInt64, _ group: String = "", memory: Int = 100, growth: Int64 = 0, deadline: Int64 = 1000
    ) -> AdmissionQueue.Ticket {
        AdmissionQueue.Ticket(
            id: id, sandbox: SandboxID(), group: group,
            demand: Demand(memory: Int64(memory) << 20, cpus: 1, sandboxes: 1), growth: growth,
            since: Moment(nanoseconds: Int64(id)), deadline: Moment(nanoseconds: deadline))
    }

    private func enter(_ queue: inout AdmissionQueue, _ tickets: [AdmissionQueue.Ticket]) throws {
        for ticket in tickets {
            let displaced = try queue.enter(ticket)?.id
            #expect(displaced == nil)
        }
    }

    @Test func `within a group the first comes first, and only as many as fit`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 2))
        let all = (1...4).map { ticket($0) }
        try enter(&queue, all)
        #expect(queue.grant(available: nil).map(\.id) == [1, 2])
        #expect(queue.grant(available: nil).isEmpty)
        queue.release(all[0].sandbox)
        #expect(queue.grant(available: nil).map(\.id) == [3])
        #expect(queue.reserved.sandboxes == 2)
        #expect(queue.waiting == 1)
    }

    @Test func `groups take turns, however long their lines are`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 1))
        let greedy = (1...20).map { ticket($0, "greedy") }
        let modest = (21...23).map { ticket($0, "modest") }
        try enter(&queue, greedy + modest)
        var order: [UInt64] = []
        while let next = queue.grant(available: nil).first {
            order.append(next.id)
            queue.release(next.sandbox)
            queue.started(next.sandbox)
        }
        #expect(order.prefix(6) == [1, 21, 2, 22, 3, 23])
        #expect(order.count == 23)
        #expect(queue.reserved == .none)
    }

    @Test func `only so many starts are under way at once`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 100, memory: 100_000, parallel: 3))
        let all = (1...10).map { ticket($0) }
        try enter(&queue, all)
        #expect(queue.grant(available: nil).count == 3)
        #expect(queue.grant(available: nil).isEmpty)
        // It holds its part, but its start is over.
        queue.started(all[1].sandbox)
        #expect(queue.grant(available: nil).map(\.id) == [4])
    }

    @Test func `one that needs much is passed by others, but only so often`() throws {
        var policy = policy(sandboxes: 100, memory: 1000)
        policy.patience = 3
        var queue = AdmissionQueue(policy: policy)
        let old = ticket(1, "a", memory: 500)
        try enter(&queue, [old])
        #expect(queue.grant(available: nil).count == 1)
        try enter(&queue, [ticket(2, "a", memory: 900)] + (3...9).map { ticket($0, "b", memory: 10) })
        let passing = queue.grant(available: nil).map(\.id)
        #expect(passing == [3, 4, 5])
        queue.release(old.sandbox)
        #expect(queue.grant(available: nil).map(\.id) == [2, 6, 7, 8, 9])
    }

    @Test func `what can never fit is refused at once`() throws {
        var queue = AdmissionQueue(policy: policy(memory: 1000))
        #expect(throws: SandboxError.self) { try queue.enter(ticket(1, memory: 1001)) }
        #expect(queue.waiting == 0)
    }

    @Test func `a full queue refuses, but not those of a short line`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 1, limit: 4))
        try enter(&queue, (1...4).map { ticket($0, "greedy") })
        #expect(throws: SandboxError.self) { try queue.enter(ticket(5, "greedy")) }
        let displaced = try queue.enter(ticket(6, "modest"))
        #expect(displaced?.id == 4)
        #expect(queue.waiting == 4)
    }

    @Test func `the machine's memory counts, with what those who are starting will take`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 10))
        let all = (1...3).map { ticket($0, growth: 40) }
        try enter(&queue, all)
        // 100 are kept free: 190 are enough for two of 40.
        #expect(queue.grant(available: 190).map(\.id) == [1, 2])
        #expect(queue.shortfall(available: 190) == .init(demand: .none, isReal: true))
        queue.started(all[0].sandbox)
        #expect(queue.grant(available: 180).map(\.id) == [3])
    }

    @Test func `what is lacking is told once, and nobody passes while room is made`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 2))
        let running = [SandboxID(), SandboxID()]
        for sandbox in running { queue.hold(sandbox, Demand(memory: 1, cpus: 1, sandboxes: 1)) }
        try enter(&queue, [ticket(1), ticket(2)])
        #expect(queue.shortfall(available: nil)?.demand.sandboxes == 1)
        let left = queue.leave(running[0])
        #expect(left)
        let again = queue.leave(running[0])
        #expect(!again)
        // The first is provided for; the second is worth another.
        #expect(queue.shortfall(available: nil)?.demand.sandboxes == 1)
        _ = queue.leave(running[1])
        #expect(queue.shortfall(available: nil) == nil)
        queue.release(running[0])
        queue.left(running[0])
        #expect(queue.grant(available: nil).map(\.id) == [1])
    }

    @Test func `what was found running counts even if it is too much`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 1))
        for _ in 0..<3 { queue.hold(SandboxID(), Demand(memory: 1 << 20, cpus: 1, sandboxes: 1)) }
        #expect(queue.reserved.sandboxes == 3)
        try enter(&queue, [ticket(1)])
        #expect(queue.grant(available: nil).isEmpty)
        #expect(queue.shortfall(available: nil)?.demand.sandboxes == 3)
    }

    @Test func `late ones are taken out, the others keep their places`() throws {
        var queue = AdmissionQueue(policy: policy(sandboxes: 0 + 1))
        try enter(&queue, [ticket(1, deadline: 10), ticket(2, deadline: 30), ticket(3, "b", deadline: 20)])
        #expect(queue.expired(Moment(nanoseconds: 20)).map(\.id).sorted() == [1, 3])
        #expect(queue.waiting == 1)
        #expect(queue.grant(available: nil).map(\.id) == [2])
    }

    @Test func `holding twice counts once, and releasing twice too`() {
        var queue = AdmissionQueue(policy: policy())
        let sandbox = SandboxID()
        let demand = Demand(memory: 7, cpus: 0.1, sandboxes: 1)
        queue.hold(sandbox, demand)
        queue.hold(sandbox, demand)
        #expect(queue.reserved == demand)
        let released = [queue.release(sandbox), queue.release(sandbox)]
        #expect(released == [true, false])
        #expect(queue.reserved == .none)
    }
}

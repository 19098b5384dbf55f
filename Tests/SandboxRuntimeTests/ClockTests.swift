import SandboxModel
import Synchronization
import Testing
import Wire

@testable import SandboxRuntime

/// A time of day that jumps makes nothing older, younger, busier or dearer.
@Suite(.timeLimit(.minutes(5)))
struct ClockTests {
    private static let day = 86_400.0

    private func attention(_ runtime: SandboxRuntime, _ reference: String) throws -> SandboxRuntime.Attention {
        let sandbox = try runtime.registry.find(reference)
        return runtime.attention(sandbox, sandbox.machine.withLock { $0 }, now: runtime.clock.moment)
    }

    @Test func `a maximal age is counted in time that has passed`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            let policy = LifecyclePolicy(onIdle: .none, maxAge: 100)
            _ = try await runtime.create(SandboxSpec(name: "one", lifecycle: policy), idempotency: nil)
            for jump in [Self.day, -2 * Self.day] {
                node.clock.jump(jump)
                #expect(try attention(runtime, "one") != .stop)
            }
            node.clock.advance(101)
            #expect(try attention(runtime, "one") == .stop)
        }
    }

    @Test func `what is asleep for an hour is counted the same way`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            let id = try await runtime.create(SandboxSpec(), idempotency: nil).id.rawValue
            _ = try await runtime.standby(id)
            for jump in [Self.day, -2 * Self.day] {
                node.clock.jump(jump)
                #expect(try attention(runtime, id) == .none)
            }
            node.clock.advance(3601)
            #expect(try attention(runtime, id) == .delete)
        }
    }

    @Test func `the first reading of what began here counts no jump`() async throws {
        let node = try Node()
        try await node.serve { runtime in
            _ = try await runtime.create(SandboxSpec(name: "one"), idempotency: nil)
            node.clock.advance(5)
            node.clock.jump(Self.day)
            await runtime.meterAll()
            var question = UsageQuestion()
            question.groupBy = "sandbox"
            question.from = node.clock.now.adding(seconds: -2 * Self.day)
            let used = try await runtime.usage(question).items.map(\.runningSeconds).reduce(0, +)
            #expect((4...7).contains(used), "\(used)")
        }
    }

    private func process(endedAt nanoseconds: Int64?) -> Wire.ProcessInfo {
        Wire.ProcessInfo(
            id: 1, pid: 1, arguments: ["true"], directory: "/", user: "root", tag: IdleState.foregroundTag,
            terminal: false, startedUnixNanoseconds: 0, outputEnd: 0, outputStart: 0, attached: 0,
            exit: nanoseconds.map { ProcessExit(code: 0, signal: 0, timedOut: false, endedUnixNanoseconds: $0) })
    }

    @Test func `an end that a clock which was set back has in the future counts once`() {
        var idle = IdleState(now: Moment(nanoseconds: 0))
        for second in 1...3 as ClosedRange<Int64> {
            idle.note(
                processes: [process(endedAt: 1000)], now: Moment(nanoseconds: second),
                wall: Timestamp(unixNanoseconds: 500))
        }
        #expect(idle.idleSince == Moment(nanoseconds: 1))
    }

    @Test func `an end that a clock which was set ahead has long ago is not before the last look`() {
        var idle = IdleState(now: Moment(nanoseconds: 0))
        idle.note(
            processes: [process(endedAt: nil)], now: Moment(nanoseconds: 5), wall: Timestamp(unixNanoseconds: 5))
        idle.note(
            processes: [process(endedAt: 6)], now: Moment(nanoseconds: 7),
            wall: Timestamp(unixNanoseconds: Int64(Self.day * 1e9)))
        #expect(idle.idleSince == Moment(nanoseconds: 5))
    }
}

import GuestClient
import Isolation
import SandboxModel
import Store
import Testing

@testable import SandboxRuntime

/// Every command in every phase, held to a table.
@Suite(.timeLimit(.minutes(5)))
struct MachineTests {
    enum Name: String, CaseIterable, Sendable {
        case creating, adopting, running, pausing, paused, unpausing, recovering, suspending, idleSuspending, standby
        case resuming, stopping, stopped, failed, deleting, gone
    }
    enum Expected: Equatable, Sendable {
        case begin(Transition.Kind, SandboxState)
        case join, after, already, refuse
    }

    static let table: [Name: [SandboxMachine.Command: Expected]] = [
        .creating: [.run: .join, .pause: .after, .standby: .after, .stop: .after],
        .adopting: [.run: .after, .pause: .after, .standby: .after, .stop: .after],
        .running: [
            .run: .already, .pause: .begin(.pause, .running), .standby: .begin(.standby, .suspending),
            .idleStandby: .begin(.standby, .suspending), .pressureStandby: .begin(.standby, .suspending),
            .stop: .begin(.stop, .stopping), .idleStop: .begin(.stop, .stopping),
        ],
        .pausing: [.run: .after, .pause: .join, .standby: .after, .stop: .after],
        .paused: [
            .run: .begin(.unpause, .paused), .pause: .already, .standby: .begin(.standby, .suspending),
            .stop: .begin(.stop, .stopping),
        ],
        .unpausing: [.run: .join, .pause: .after, .standby: .after, .stop: .after],
        .recovering: [.run: .join, .pause: .after, .standby: .after, .stop: .after],
        .suspending: [.run: .after, .pause: .after, .standby: .join, .stop: .after],
        .idleSuspending: [.run: .after, .pause: .after, .standby: .join, .stop: .after],
        .standby: [
            .run: .begin(.wake, .resuming), .pause: .refuse, .standby: .already, .stop: .begin(.stop, .stopping),
        ],
        .resuming: [.run: .join, .pause: .after, .standby: .after, .stop: .after],
        .stopping: [.run: .after, .pause: .after, .standby: .after, .stop: .join],
        .stopped: [.run: .begin(.start, .resuming), .pause: .refuse, .standby: .refuse, .stop: .already],
        .failed: [
            .run: .begin(.start, .resuming), .pause: .refuse, .standby: .refuse, .stop: .begin(.stop, .stopping),
        ],
        .deleting: [.run: .refuse, .pause: .refuse, .standby: .refuse, .stop: .refuse, .delete: .join],
        .gone: [.run: .refuse, .pause: .refuse, .standby: .refuse, .stop: .refuse, .delete: .refuse],
    ]

    private func machine(_ name: Name, _ incarnation: Incarnation) throws -> SandboxMachine {
        let other = Transition(.adopt)
        let suspension = SandboxMachine.Suspension(fromPaused: false, cause: name == .idleSuspending ? .idle : .request)
        let phase: SandboxMachine.Phase
        switch name {
        case .creating: phase = .creating(other)
        case .adopting: phase = .adopting(other)
        case .running: phase = .running(incarnation)
        case .pausing: phase = .pausing(incarnation, other)
        case .paused: phase = .paused(incarnation)
        case .unpausing: phase = .unpausing(incarnation, other)
        case .recovering: phase = .recovering(incarnation, other)
        case .suspending, .idleSuspending: phase = .suspending(incarnation, other, suspension)
        case .standby: phase = .standby
        case .resuming: phase = .resuming(other)
        case .stopping: phase = .stopping(other)
        case .stopped: phase = .stopped
        case .failed: phase = .failed
        case .deleting: phase = .deleting(other)
        case .gone: phase = .gone
        }
        return SandboxMachine(phase: phase, record: try .test(), now: Moment(nanoseconds: 0))
    }

    private func outcome(_ decision: SandboxMachine.Decision, _ machine: SandboxMachine) -> Expected {
        switch decision {
        case .begin(let work): .begin(work.transition.kind, machine.state)
        case .join: .join
        case .after: .after
        case .already: .already
        case .refuse: .refuse
        }
    }

    @Test(arguments: Name.allCases)
    func `every command in every phase`(name: Name) async throws {
        try await withIncarnation { incarnation in
            for command in SandboxMachine.Command.allCases {
                var machine = try machine(name, incarnation)
                let before = machine.state
                let decision = machine.decide(command)
                let result = outcome(decision, machine)
                // A deletion overtakes everything; what idleness causes begins from `running` only.
                let standard: Expected = command == .delete ? .begin(.delete, .stopping) : .refuse
                #expect(result == Self.table[name]?[command] ?? standard, "\(name) \(command)")
                if case .begin(_, let state) = result, state != before {
                    #expect(before.canBecome(state), "\(before) to \(state)")
                }
            }
        }
    }

    @Test func `a request calls off a standby for idleness only`() async throws {
        try await withIncarnation { incarnation in
            for (name, isCalledOff) in [(Name.suspending, false), (.idleSuspending, true)] {
                var machine = try machine(name, incarnation)
                _ = machine.decide(.run)
                guard case .suspending(_, let transition, let suspension) = machine.phase else { continue }
                #expect(suspension.calledOff == isCalledOff)
                let committed = machine.commit(transition)
                #expect(committed == !isCalledOff)
            }
        }
    }

    @Test func `past the point of no return nothing is called off`() async throws {
        try await withIncarnation { incarnation in
            var machine = try machine(.idleSuspending, incarnation)
            guard let transition = machine.transition else { return }
            let committed = machine.commit(transition)
            #expect(committed)
            _ = machine.decide(.run)
            #expect(machine.continues(transition))
        }
    }

    @Test func `an overtaken transition changes nothing any more`() async throws {
        try await withIncarnation { incarnation in
            var machine = try machine(.resuming, incarnation)
            guard let transition = machine.transition else { return }
            _ = machine.decide(.delete)
            #expect(!machine.isCurrent(transition))
            let next = machine.finish(transition, to: .running(incarnation), now: Moment(nanoseconds: 0))
            #expect(next?.transition.kind == nil)
            guard case .deleting = machine.phase else {
                Issue.record("the deletion was undone")
                return
            }
        }
    }

    @Test func `the end of another incarnation is ignored`() async throws {
        try await withIncarnation { incarnation in
            var machine = try machine(.running, incarnation)
            let end = SandboxMachine.Loss.execution(ExecutionEnd(code: 0))
            let stranger = machine.lost(ExecutionID(), end, now: Moment(nanoseconds: 0))
            #expect(stranger?.transition.kind == nil)
            #expect(machine.state == .running)
            let own = machine.lost(incarnation.id, end, now: Moment(nanoseconds: 0))
            #expect(own?.transition.kind == .lose)
            #expect(machine.state == .stopping)
        }
    }

    @Test func `an end in the middle of a transition is looked at when that ends`() async throws {
        try await withIncarnation { incarnation in
            var machine = try machine(.pausing, incarnation)
            guard let transition = machine.transition else { return }
            let early = machine.lost(incarnation.id, .execution(ExecutionEnd(code: 0)), now: Moment(nanoseconds: 0))
            #expect(early?.transition.kind == nil)
            let next = machine.finish(transition, to: .paused(incarnation), now: Moment(nanoseconds: 0))
            #expect(next?.transition.kind == .lose)
        }
    }

    @Test func `a guest that breaks one session after the other is given up`() async throws {
        try await withIncarnation { incarnation in
            var machine = try machine(.running, incarnation)
            let breach = SandboxMachine.Loss.session(SandboxError(.guestFailed, "It broke the protocol."))
            /// What a breach leads to, some seconds after the start.
            func broken(at second: Int64) -> Transition.Kind? {
                let now = Moment(nanoseconds: second * 1_000_000_000)
                guard let transition = machine.lost(incarnation.id, breach, now: now)?.transition else { return nil }
                if transition.kind == .recover { _ = machine.finish(transition, to: .running(incarnation), now: now) }
                return transition.kind
            }
            #expect([0, 1, 2].map(broken) == [.recover, .recover, .recover])
            #expect(
                [100, 101, 102, 103].map(broken) == [.recover, .recover, .recover, .lose], "the old ones are forgotten")
        }
    }

    private func withIncarnation(_ body: (Incarnation) async throws -> Void) async throws {
        let world = FakeWorld()
        let root = SandboxRoot(
            lower: [], layer: .directories(upper: "/nowhere", work: "/nowhere"), volatile: true)
        let request = StartRequest(
            sandbox: SandboxID(), execution: ExecutionID(), root: root, hostname: "x", limits: ResourceLimits())
        let execution = try await FakeDriver(world: world).start(request)
        try await body(Incarnation(execution: execution))
        await execution.guest.close()
        world.crash()
    }
}

extension SandboxRecord {
    static func test() throws -> SandboxRecord {
        let time = Timestamp(unixNanoseconds: 0)
        return SandboxRecord(
            id: SandboxID(), spec: try SandboxSpec().validated(), templateVersion: "v1", isolation: "gvisor",
            initLayer: "x", createdAt: time, status: .init(state: .running, changedAt: time, lastActiveAt: time))
    }
}

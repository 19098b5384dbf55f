import GuestClient
import SandboxModel
import SandboxRuntime
import Synchronization
import Testing

/// Random sequences of operations, failures and restarts; what must always hold is looked at after each.
@Suite(.timeLimit(.minutes(5)))
struct PropertyTests {
    /// A small generator that a seed determines.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }

    private static let codes: Set<SandboxError.Code> = [
        .invalidState, .driverFailed, .guestFailed, .cancelled, .checkpointBlocked, .sandboxNotFound, .nameTaken,
        .overloaded, .deadlineExceeded, .unavailable,
    ]

    @Test(arguments: 1...12)
    func `whatever happens, a sandbox has one incarnation or a whole image or its files`(seed: Int) async throws {
        let node = try Node()
        for round in 0..<3 {
            let boot = "boot-\(round / 2)"
            if round == 2 { node.world.crash() }
            try await node.serve(boot: boot) { runtime async throws in
                var random = Random(state: UInt64(seed * 1000 + round))
                for _ in 0..<12 {
                    let failure =
                        Int.random(in: 0..<6, using: &random) == 0 ? Point.allCases.randomElement(using: &random) : nil
                    if let failure { node.world.fail(failure, times: Int.random(in: 1...3, using: &random)) }
                    let plan = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                        (
                            Int.random(in: 0..<9, using: &random),
                            Int.random(in: 0..<2, using: &random) == 0 ? "one" : "two"
                        )
                    }
                    await withTaskGroup(of: Void.self) { group in
                        for (action, name) in plan { group.addTask { await perform(action, name, runtime) } }
                    }
                    try await settle(runtime)
                    try await check(node, runtime)
                }
                node.world.state.withLock { $0.failures = [:] }
            }
        }
    }

    private func perform(_ action: Int, _ name: String, _ runtime: SandboxRuntime) async {
        do {
            switch action {
            case 0: _ = try await runtime.create(SandboxSpec(name: name), idempotency: nil)
            case 1: _ = try await runtime.standby(name)
            case 2: _ = try await runtime.pause(name)
            case 3: _ = try await runtime.resume(name)
            case 4: _ = try await runtime.stop(name)
            case 5: try await runtime.delete(name)
            default:
                try await runtime.withGuest(name, .request("exec")) {
                    try await $0.session.ping(deadline: .seconds(30))
                }
            }
        } catch let error as SandboxError {
            #expect(Self.codes.contains(error.code), "\(action): \(error)")
        } catch {
            Issue.record("not the one error type: \(error)")
        }
    }

    /// Waits until nothing is under way.
    private func settle(_ runtime: SandboxRuntime) async throws {
        try await eventually("nothing is under way") {
            try await runtime.list(SandboxFilter(), cursor: nil, limit: 200).items.allSatisfy { !$0.state.isTransient }
        }
    }

    private func check(_ node: Node, _ runtime: SandboxRuntime) async throws {
        let sandboxes = try await runtime.list(SandboxFilter(), cursor: nil, limit: 200).items
        for sandbox in sandboxes {
            let processes = node.processes(sandbox)
            switch sandbox.state {
            case .running:
                #expect(processes?.state.withLock { $0.paused } == false, "\(sandbox.name ?? "")")
            case .paused:
                #expect(processes?.state.withLock { $0.paused } == true)
            case .standby:
                #expect(processes == nil)
                #expect(sandbox.checkpointBytes != nil)
            case .stopped:
                #expect(processes == nil)
            default: break
            }
        }
        // Only sandboxes have processes; what a failed end left behind is of a failed one.
        for processes in node.world.processes {
            #expect(sandboxes.contains { processes.upper.contains($0.id.rawValue) }, "an orphan")
        }
        // The store agrees with what is shown.
        for state in SandboxState.allCases {
            let listed = try await runtime.list(SandboxFilter(states: [state]), cursor: nil, limit: 200).items
            #expect(listed.allSatisfy { $0.state == state })
        }
    }
}

import GuestClient
import Isolation
import Logging
import SandboxModel
import Synchronization

/// Where a fake driver can be made to fail or to wait.
enum Point: String, Sendable, Hashable, CaseIterable {
    case start, restore, pause, resume, checkpoint, destroy, reattach
}

/// The processes of all sandboxes of a machine without isolation: they outlive a driver (a server) as real ones do.
final class FakeWorld: Sendable {
    struct State: Sendable {
        var alive: [ExecutionID: FakeProcesses] = [:]
        var counts: [Point: Int] = [:]
        /// How often each point still fails, and how.
        var failures: [Point: (times: Int, error: SandboxError)] = [:]
        var gates: [Point: Gate] = [:]
        var uppers: [String: ExecutionID] = [:]
        var violations: [String] = []
    }
    let state = Mutex(State())

    func count(_ point: Point) -> Int { state.withLock { $0.counts[point] ?? 0 } }

    func fail(_ point: Point, times: Int = 1, _ code: SandboxError.Code = .driverFailed) {
        state.withLock { $0.failures[point] = (times, SandboxError(code, "made to fail")) }
    }

    /// Makes whoever comes to this point wait until the gate opens.
    func close(_ point: Point) -> Gate {
        let gate = Gate()
        state.withLock { $0.gates[point] = gate }
        return gate
    }

    func open(_ point: Point) {
        let gate = state.withLock { $0.gates.removeValue(forKey: point) }
        gate?.open()
    }

    /// Passes a point: counts it, waits at its gate, fails if it is to.
    func pass(_ point: Point) async throws {
        let gate = state.withLock { state in
            state.counts[point, default: 0] += 1
            return state.gates[point]
        }
        if let gate { await gate.wait() }
        let error: SandboxError? = state.withLock { state in
            guard let failure = state.failures[point], failure.times > 0 else { return nil }
            state.failures[point]?.times -= 1
            return failure.error
        }
        if let error { throw error }
    }

    var processes: [FakeProcesses] { state.withLock { Array($0.alive.values) } }

    /// The host loses power.
    func crash() {
        for processes in processes { processes.end(code: nil) }
        state.withLock { $0.alive = [:] }
    }

    func begin(_ request: StartRequest, memory: String) -> FakeProcesses {
        let processes = FakeProcesses(id: request.execution, upper: request.root.upper, memory: memory, world: self)
        state.withLock { state in
            if let other = state.uppers[request.root.upper], state.alive[other] != nil {
                state.violations.append("two executions use \(request.root.upper)")
            }
            state.uppers[request.root.upper] = request.execution
            state.alive[request.execution] = processes
        }
        return processes
    }

    func remove(_ id: ExecutionID) {
        let processes = state.withLock { $0.alive.removeValue(forKey: id) }
        processes?.end(code: 137)
    }
}

/// A door that opens once.
final class Gate: Sendable {
    private let state = Mutex<(open: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiters = state.withLock { state in
            state.open = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.open { state.waiters.append(continuation) }
                return state.open
            }
            if isOpen { continuation.resume() }
        }
    }

    var waiting: Int { state.withLock { $0.waiters.count } }
}

/// What runs in one sandbox. `memory` stands for all that a restart would lose.
final class FakeProcesses: Sendable {
    struct State: Sendable {
        var memory: String
        var paused = false
        var dozes = false
        var core: Int?
        var cpu: UInt64 = 0
        var end: ExecutionEnd?
        var waiters: [Int: CheckedContinuation<ExecutionEnd, Never>] = [:]
        var ticket = 0
    }
    let id: ExecutionID
    let upper: String
    let state: Mutex<State>
    let guest: FakeGuest

    init(id: ExecutionID, upper: String, memory: String, world: FakeWorld) {
        self.id = id
        self.upper = upper
        state = Mutex(State(memory: memory))
        guest = FakeGuest(onShutdown: { world.remove(id) })
    }

    var memory: String { state.withLock { $0.memory } }

    func end(code: Int32?) {
        let (end, waiters) = state.withLock { state in
            let end = state.end ?? ExecutionEnd(code: code)
            state.end = end
            defer { state.waiters = [:] }
            return (end, state.waiters.values)
        }
        guest.hangUp()
        for waiter in waiters { waiter.resume(returning: end) }
    }

    func ended() async -> ExecutionEnd {
        let ticket = state.withLock { state in
            state.ticket += 1
            return state.ticket
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let end: ExecutionEnd? = state.withLock { state in
                    if let end = state.end { return end }
                    if Task.isCancelled { return ExecutionEnd(code: nil, detail: "cancelled") }
                    state.waiters[ticket] = continuation
                    return nil
                }
                if let end { continuation.resume(returning: end) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?
                .resume(returning: ExecutionEnd(code: nil, detail: "cancelled"))
        }
    }
}

struct FakeExecution: Execution {
    let processes: FakeProcesses
    let guest: GuestSession
    let world: FakeWorld
    var id: ExecutionID { processes.id }

    func keep() async throws { try alive() }

    func pause() async throws {
        try await world.pass(.pause)
        try alive()
        processes.state.withLock { $0.paused = true }
    }

    func doze() async { processes.state.withLock { $0.dozes = true } }

    func confine(to core: Int?) async { processes.state.withLock { $0.core = core } }

    func rouse() async { processes.state.withLock { $0.dozes = false } }

    func hold() async throws {
        try alive()
        processes.state.withLock { $0.paused = true }
    }

    func resume() async throws {
        try await world.pass(.resume)
        try alive()
        processes.state.withLock { $0.paused = false }
    }

    func checkpoint(to directory: String) async throws -> [String: UInt64] {
        if !processes.state.withLock({ $0.paused }) { try await world.pass(.pause) }
        try await world.pass(.checkpoint)
        try alive()
        processes.state.withLock { $0.paused = true }
        try writeText(processes.memory, to: directory + "/memory.img")
        return [:]
    }

    func syncFiles() async throws { try alive() }

    func stats() async throws -> ExecutionStats {
        ExecutionStats(cpuNanoseconds: processes.state.withLock { $0.cpu }, memoryBytes: 1 << 20, processes: 1)
    }

    func ended() async -> ExecutionEnd { await processes.ended() }

    private func alive() throws {
        guard processes.state.withLock({ $0.end == nil }) else { throw SandboxError(.driverFailed, "it is dead") }
    }
}

/// A driver of a ``FakeWorld``. As many as there are servers, one after the other.
final class FakeDriver: IsolationDriver {
    let world: FakeWorld
    let version: String
    let tier: String
    /// `nil`: the tier needs none.
    let isAccelerated: Bool?

    init(world: FakeWorld, version: String = "1", tier: String = "gvisor", isAccelerated: Bool? = nil) {
        self.world = world
        self.version = version
        self.tier = tier
        self.isAccelerated = isAccelerated
    }

    func capabilities() async -> DriverCapabilities {
        let yes = DriverCapabilities.Ability(available: true)
        return DriverCapabilities(
            tier: tier, version: version, run: yes, pause: yes, checkpoint: yes, limits: yes,
            acceleration: isAccelerated.map { .init(available: $0) })
    }

    func start(_ request: StartRequest) async throws -> any Execution {
        try await world.pass(.start)
        return try await execution(world.begin(request, memory: "fresh \(randomToken(8))"))
    }

    func restore(_ request: RestoreRequest) async throws -> any Execution {
        try await world.pass(.restore)
        try await request.verify()
        let memory = try readText(request.checkpoint + "/memory.img")
        return try await execution(world.begin(request.start, memory: memory))
    }

    func survivors() async throws -> [ExecutionID] { world.processes.map(\.id) }

    func reattach(_ id: ExecutionID) async throws -> any Execution {
        try await world.pass(.reattach)
        guard let processes = world.state.withLock({ $0.alive[id] }) else { throw SandboxError(.driverFailed, "gone") }
        processes.state.withLock { $0.paused = false }
        return try await execution(processes)
    }

    func destroy(_ id: ExecutionID) async throws {
        try await world.pass(.destroy)
        world.remove(id)
    }

    func prewarm(_ count: Int) async {}

    private func execution(_ processes: FakeProcesses) async throws -> FakeExecution {
        let session = try await GuestSession.open(
            descriptor: processes.guest.connect(), deadline: .seconds(30), logger: quiet, requestDeadline: .seconds(30))
        return FakeExecution(processes: processes, guest: session, world: world)
    }
}

let quiet = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

extension SandboxRoot {
    /// Where its files are.
    var upper: String {
        switch layer {
        case .directories(let upper, _): upper
        case .image(let path, _): path
        }
    }
}

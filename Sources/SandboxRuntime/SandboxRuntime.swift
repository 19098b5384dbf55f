internal import Faults
internal import GuestClient
public import Isolation
public import Logging
public import SandboxImages
public import SandboxModel
public import SandboxStorage
public import ServiceLifecycle
public import Store
internal import Synchronization

/// The life of all sandboxes of this node: creation, use, sleep, wake, end.
///
/// Each sandbox has a state machine; every change of its state is decided there, recorded in the store before its effect,
/// and confirmed after. A transition belongs to the sandbox, not to the caller that asked for it: callers of the same
/// change share one, and cancelling a caller ends only its wait.
///
/// ### Errors
/// All functions throw ``SandboxError``: `sandbox_not_found` for a reference that is neither an id nor a name,
/// `unavailable` while the server starts or stops, and what each says.
public final class SandboxRuntime: Service, Sendable {
    let store: any SandboxStore
    let usage: any UsageStore
    let drivers: [String: any IsolationDriver]
    let storage: DataDirectory
    let images: TemplateStore
    let configuration: RuntimeConfiguration
    let logger: Logger
    let clock: any RuntimeClock
    let registry = Registry()
    let feed = EventFeed()
    let telemetry = RuntimeMetrics()
    /// Transitions, and other work that ends by itself.
    let operations = OperationRunner()
    /// What lasts as long as an incarnation: its watch and its host services.
    let watchers = OperationRunner()
    let shared = Mutex(Shared())
    /// Who may begin to run.
    let admission: Admission
    /// Numbers changes of specifications in the order of the store.
    let specChanges = Atomic<UInt64>(0)
    /// Who is kept on one core.
    let placement: Mutex<CorePlacement>
    /// Sandboxes that were booted ahead.
    let prebooted: Mutex<PrebootPool<Prebooted>>
    /// Counts starts of processes, for those who must not disturb them.
    let starts = Atomic<Int>(0)

    struct Shared: Sendable {
        var ready = false
        var stopping = false
        var initLayer = ""
    }

    /// - Parameters:
    ///   - store: Keeps the records and events.
    ///   - usage: Keeps what sandboxes used.
    ///   - drivers: By tier.
    ///   - storage: The data directory, locked by this server.
    ///   - images: The templates.
    ///   - configuration: Settings.
    ///   - logger: Hears of transitions and failures.
    ///   - clock: The machine's, but in tests.
    public init(
        store: any SandboxStore, usage: any UsageStore, drivers: [String: any IsolationDriver], storage: DataDirectory,
        images: TemplateStore, configuration: RuntimeConfiguration, logger: Logger,
        clock: any RuntimeClock = SystemClock()
    ) {
        self.store = store
        self.usage = usage
        self.drivers = drivers
        self.storage = storage
        self.images = images
        self.configuration = configuration
        self.logger = logger
        self.clock = clock
        admission = Admission(policy: configuration.admission)
        placement = Mutex(CorePlacement(cores: configuration.cores))
        prebooted = Mutex(PrebootPool(maximum: max(0, configuration.preboot)))
    }

    /// Takes over what a former server left, then looks after the sandboxes until it is told to end.
    ///
    /// A graceful shutdown, as well as cancellation, leaves the sandboxes running; transitions under way get
    /// ``RuntimeConfiguration/drainDeadline`` to end.
    ///
    /// - Throws: If the store, the init binary or the data directory cannot be used.
    public func run() async throws {
        try await load()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.operations.run() }
            group.addTask { await self.watchers.run() }
            group.addTask { await self.tendAdmission() }
            group.addTask {
                try await self.reconcile()
                await self.whileReady()
            }
            group.addTask { await self.preboot() }
            group.addTask {
                try? await gracefulShutdown()
                await self.drain()
            }
            defer { group.cancelAll() }
            // All but the drain last until they are cancelled; whoever ends first ends the runtime.
            try await group.next()
        }
    }

    /// Looks after the sandboxes that were taken over.
    private func whileReady() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.supervise() }
            group.addTask { await self.meterUsage() }
            group.addTask { await self.tendPlacement() }
        }
    }

    /// Whether all sandboxes of the former server are taken over.
    public var isReady: Bool { shared.withLock { $0.ready } }

    var isStopping: Bool { shared.withLock { $0.stopping } }

    private func drain() async {
        shared.withLock { $0.stopping = true }
        admission.close(.stopping)
        Step.drainBegun.passed()
        let deadline = clock.moment.advanced(by: configuration.drainDeadline)
        while operations.pending > 0, clock.moment < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(10))
        }
        // A cancelled server ends like a killed one: the next one removes what nobody owns.
        if !Task.isCancelled {
            await endPreboot()
            // What they left in the trash is nobody else's to remove before the next start.
            try? await storage.sweepTrash()
        }
        feed.end()
        for sandbox in registry.all {
            await sandbox.machine.withLock { $0.incarnation }?.session.close()
        }
        Step.drainDone.passed()
    }

    // MARK: Commands

    /// Freezes all processes in RAM. Returns when they are frozen; on a paused sandbox at once.
    ///
    /// - Throws: ``SandboxError`` with `invalid_state` if it has no processes, `driver_failed`.
    public func pause(_ reference: String) async throws -> SandboxResource { try await command(.pause, reference) }

    /// Makes a sandbox run: from `paused`, from `standby` (its memory goes on where it stopped), from `stopped` or
    /// `failed` (a fresh start on its files). Returns when it runs; on a running one at once.
    ///
    /// - Throws: ``SandboxError`` with `invalid_state` if its maximal age has passed, `driver_failed` if the start failed;
    ///   a sandbox in standby is then in standby still, with its memory.
    public func resume(_ reference: String) async throws -> SandboxResource { try await command(.run, reference) }

    /// Writes the memory of a running or paused sandbox to disk and ends its processes on the host. When it returns,
    /// memory and files are durable, and the RAM is free. Requests that are under way in it fail with `unavailable`;
    /// their processes go on after the wake.
    ///
    /// - Throws: ``SandboxError`` with `checkpoint_blocked` if the memory cannot be written now (the message lists why),
    ///   `no_space`, `unsupported`, `driver_failed`; the sandbox then runs (or is paused) as before.
    public func standby(_ reference: String) async throws -> SandboxResource { try await command(.standby, reference) }

    /// Ends all processes (SIGTERM, then SIGKILL after the grace) and keeps the files. From standby: drops the memory.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed`.
    public func stop(_ reference: String) async throws -> SandboxResource { try await command(.stop, reference) }

    /// Removes a sandbox with everything it has, whatever is under way with it. Returns when it is gone.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` if its processes could not be ended; the call may be repeated.
    public func delete(_ reference: String) async throws {
        let sandbox = try registry.find(reference)
        try await command(.delete, on: sandbox)
    }

    private func command(_ command: SandboxMachine.Command, _ reference: String) async throws -> SandboxResource {
        let sandbox = try registry.find(reference)
        try await self.command(command, on: sandbox)
        return sandbox.resource(clock: clock)
    }

    /// Carries out a command, or joins whoever does.
    func command(_ command: SandboxMachine.Command, on sandbox: Sandbox) async throws {
        // Each round waits for a transition that somebody else began; a sandbox that changes so often is not to be had.
        for _ in 0..<32 {
            if try await follow(try decide(command, on: sandbox), on: sandbox) { return }
        }
        throw SandboxError(.overloaded, "Others change the sandbox's state all the time.", hint: "try again")
    }

    /// - Returns: Whether the command is done; `false`: ask again.
    func follow(_ decision: SandboxMachine.Decision, on sandbox: Sandbox) async throws -> Bool {
        switch decision {
        case .already: return true
        case .refuse(let error): throw error
        case .begin(let work):
            work.transition.patience = AdmissionWait.limit
            begin(work, on: sandbox)
            try await work.transition.wait()
            return true
        case .join(let transition):
            do {
                try await transition.wait()
            } catch let error as SandboxError where error.code == .cancelled && transition.begins {
                // Those who waited for its turn went away before this one came.
                if Task.isCancelled { throw error }
                return false
            }
            return true
        case .after(let transition):
            // How it ended is the business of those who asked for it.
            do { try await transition.wait() } catch { try Task.checkCancellation() }
            return false
        }
    }

    private func decide(_ command: SandboxMachine.Command, on sandbox: Sandbox) throws -> SandboxMachine.Decision {
        if isStopping { throw SandboxError.stopping }
        let now = clock.moment
        return sandbox.machine.withLock { machine in
            if command == .run, let refusal = expired(sandbox, machine, now: now) { return .refuse(refusal) }
            return machine.decide(command)
        }
    }

    /// A sandbox that has reached its maximal age is not started again.
    func expired(_ sandbox: Sandbox, _ machine: SandboxMachine, now: Moment) -> SandboxError? {
        guard sandbox.isExpired(machine.spec.value.lifecycle, at: now) else { return nil }
        switch machine.state {
        case .standby, .stopped, .failed:
            return SandboxError(
                .invalidState, "The sandbox has reached its maximal age.", hint: "raise or remove lifecycle.max_age")
        default: return nil
        }
    }

    // MARK: Use

    /// Runs `body` with a running sandbox, waking it before if its lifecycle allows that. As long as `body` runs, the
    /// sandbox is in use: it does not fall asleep, and `activity` shows in `awake_because`.
    ///
    /// On a running sandbox this costs two short locks; nothing is written.
    ///
    /// - Throws: What `body` throws; ``SandboxError`` with `invalid_state` if it does not run and must not be woken, and
    ///   what ``resume(_:)`` throws.
    public func withGuest<R: Sendable>(
        _ reference: String, _ activity: Activity, _ body: @Sendable (GuestContext) async throws -> R
    ) async throws -> R {
        let sandbox = try registry.find(reference)
        let incarnation = try await enter(sandbox, activity)
        defer { leave(sandbox, activity) }
        let clock = clock
        return try await body(
            GuestContext(
                session: incarnation.session, id: sandbox.id, defaults: sandbox.defaults,
                describe: { sandbox.resource(clock: clock) }))
    }

    private func enter(_ sandbox: Sandbox, _ activity: Activity) async throws -> Incarnation {
        for _ in 0..<32 {
            let access = sandbox.machine.withLock { machine -> SandboxMachine.Access in
                if case .running = machine.phase { return machine.access(activity) }
                if let refusal = expired(sandbox, machine, now: clock.moment) { return .refuse(refusal) }
                return machine.access(activity)
            }
            switch access {
            case .ready(let incarnation, let dozes):
                if dozes { await incarnation.execution.rouse() }
                if activity.isRequest { await place(sandbox, incarnation) }
                return incarnation
            case .refuse(let error): throw error
            case .wait(let decision):
                if isStopping { throw SandboxError.stopping }
                _ = try await follow(decision, on: sandbox)
            }
        }
        throw SandboxError(.overloaded, "Others change the sandbox's state all the time.", hint: "try again")
    }

    private func leave(_ sandbox: Sandbox, _ activity: Activity) {
        guard activity != .observer else { return }
        let now = clock.moment
        sandbox.machine.withLock { $0.idle.end(activity, now: now) }
        if activity.isRequest { unplace(sandbox) }
    }
}

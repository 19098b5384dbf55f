internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxModel
internal import Store
internal import Synchronization
internal import Wire

// One loop that looks at all sandboxes: who is idle, who is too old, what is to be forgotten.
extension SandboxRuntime {
    /// What a look at a sandbox says is to be done.
    enum Attention: Sendable, Hashable {
        case none
        /// Nobody uses it: read its CPU time.
        case sample
        /// Nobody has used it for a moment: read its CPU time, look inside, and let it doze.
        case doze
        /// It is idle as far as the host can see: look inside, and act.
        case decide
        case stop
        case delete
    }

    /// Runs until the task is cancelled or the server stops.
    func supervise() async {
        var nextPruning = clock.moment
        while !Task.isCancelled, !isStopping {
            lookAtAll()
            if clock.moment >= nextPruning {
                nextPruning = clock.moment.advanced(by: 3600)
                pruneLater()
            }
            do { try await clock.sleep(for: configuration.tick) } catch { return }
        }
    }

    /// Looks at every sandbox once and hands over what is to be done.
    func lookAtAll() {
        var counts: [SandboxState: Int] = [:]
        for sandbox in registry.all {
            let now = clock.moment
            let (state, attention) = sandbox.machine.withLock { machine in
                (machine.state, claimAttention(sandbox, &machine, now: now))
            }
            counts[state, default: 0] += 1
            guard attention != .none else { continue }
            let accepted = operations.submit {
                await self.attend(sandbox, attention)
                sandbox.machine.withLock { $0.idle.probing = false }
            }
            if !accepted { return }
        }
        telemetry.population(counts)
    }

    private func claimAttention(_ sandbox: Sandbox, _ machine: inout SandboxMachine, now: Moment) -> Attention {
        guard !machine.idle.probing else { return .none }
        let attention = attention(sandbox, machine, now: now)
        machine.idle.probing = attention != .none
        return attention
    }

    /// The whole policy, for one sandbox at one moment.
    func attention(_ sandbox: Sandbox, _ machine: SandboxMachine, now: Moment) -> Attention {
        let lifecycle = machine.spec.value.lifecycle
        if machine.transition != nil { return .none }
        if sandbox.isExpired(lifecycle, at: now) {
            if !sandbox.durable { return .delete }
            if machine.state != .stopped, machine.state != .failed { return .stop }
        }
        switch machine.phase {
        case .running:
            if machine.idle.isDue(lifecycle, now: now) { return .decide }
            if machine.idle.mayDoze(now: now, after: configuration.dozeAfter.seconds) { return .doze }
            let interval = min(configuration.sampleInterval.seconds, lifecycle.idleTimeout / 3)
            return machine.idle.needsSample(now: now, interval: interval) ? .sample : .none
        case .standby, .stopped, .failed:
            if sandbox.durable, !machine.status.deleting { return .none }
            let retention = machine.status.deleting ? configuration.retryInterval : configuration.ephemeralRetention
            return now.seconds(since: machine.changedAt) >= retention.seconds ? .delete : .none
        default: return .none
        }
    }

    private func attend(_ sandbox: Sandbox, _ attention: Attention) async {
        do {
            switch attention {
            case .none: break
            case .sample: await sample(sandbox)
            case .doze:
                await sample(sandbox)
                await doze(sandbox)
            case .decide: try await decideIdle(sandbox)
            case .stop: try await command(.stop, on: sandbox)
            case .delete: try await command(.delete, on: sandbox)
            }
        } catch {
            logger.debug("The supervisor's work failed", metadata: log(sandbox, error))
        }
    }

    func sample(_ sandbox: Sandbox) async {
        guard case .running(let incarnation) = sandbox.machine.withLock({ $0.phase }) else { return }
        // Where CPU time cannot be read, it keeps nobody awake.
        let cpu = (try? await incarnation.execution.stats().cpuNanoseconds) ?? 0
        let now = clock.moment
        sandbox.machine.withLock { machine in
            guard machine.incarnation?.id == incarnation.id, machine.idle.activities.isEmpty else { return }
            machine.idle.note(cpu: cpu, now: now, threshold: configuration.busyShare)
        }
    }

    /// Nobody uses it just now. Timers that come late harm nobody unless a program waits for them.
    private func doze(_ sandbox: Sandbox) async {
        guard case .running(let incarnation) = sandbox.machine.withLock({ $0.phase }) else { return }
        let session = incarnation.session
        // A guest that does not answer is left as it is.
        let processes = try? await deadline(.seconds(2)) { try await session.processes() }
        let isQuiet = processes?.allSatisfy { $0.exit != nil } ?? false
        let next = clock.moment.advanced(by: configuration.dozeRecheck.seconds)
        let dozes = sandbox.machine.withLock { machine in
            guard case .running(let current) = machine.phase, current.id == incarnation.id else { return false }
            return machine.idle.doze(isQuiet: isQuiet, lookAgainAt: next)
        }
        guard dozes else { return }
        await incarnation.execution.doze()
        // Who began to use it in between may have roused it before it dozed.
        let isUsed = sandbox.machine.withLock { $0.incarnation?.id == incarnation.id && !$0.idle.isDozing }
        if isUsed { await incarnation.execution.rouse() }
    }

    /// The host sees no use of the sandbox any more: asks inside, and carries out the idle action.
    private func decideIdle(_ sandbox: Sandbox) async throws {
        guard case .running(let incarnation) = sandbox.machine.withLock({ $0.phase }) else { return }
        let wanted = sandbox.machine.withLock { $0.spec.value.lifecycle.onIdle }
        do {
            await sample(sandbox)
            guard let action = try await idleAction(sandbox, incarnation) else { return }
            switch action {
            case .none: break
            case .standby: try await once(.idleStandby, sandbox)
            case .stop: try await once(.idleStop, sandbox)
            case .delete: try await command(.delete, on: sandbox)
            }
        } catch {
            try await put(off: wanted, sandbox, .from(error))
        }
    }

    /// - Returns: What to do, or `nil` if something inside keeps it awake.
    private func idleAction(_ sandbox: Sandbox, _ incarnation: Incarnation) async throws -> IdleAction? {
        let isDue = try await look(into: sandbox, incarnation) { $0.isDue($1, now: $2) }
        return isDue ? sandbox.machine.withLock { $0.spec.value.lifecycle.onIdle } : nil
    }

    /// Asks inside for foreground processes.
    ///
    /// - Returns: What `isIdle` says, if there are none.
    func look(
        into sandbox: Sandbox, _ incarnation: Incarnation,
        _ isIdle: (IdleState, LifecyclePolicy, Moment) -> Bool
    ) async throws -> Bool {
        let processes = try await deadline(configuration.guestDeadline) { try await incarnation.session.processes() }
        let (now, wall) = (clock.moment, clock.now)
        return sandbox.machine.withLock { machine in
            machine.idle.note(processes: processes, now: now, wall: wall)
            let lifecycle = machine.spec.value.lifecycle
            guard machine.idle.foreground.isEmpty else {
                machine.idle.lookAgain(at: now.advanced(by: configuration.recheckInterval))
                return false
            }
            return isIdle(machine.idle, lifecycle, now)
        }
    }

    /// Begins an idle action unless somebody has begun to use the sandbox, and waits for its end.
    private func once(_ command: SandboxMachine.Command, _ sandbox: Sandbox) async throws {
        guard case .begin(let work) = sandbox.machine.withLock({ $0.decide(command) }) else { return }
        begin(work, on: sandbox)
        try await work.transition.wait()
    }

    /// The idle action did not happen: when to try again, and what `awake_because` says until then.
    func put(off action: IdleAction, _ sandbox: Sandbox, _ error: SandboxError) async throws {
        // Called off by a request: nothing to be told.
        if error.code == .cancelled || error.code == .invalidState { return }
        let now = clock.moment
        if let blocked = error.cause as? CheckpointBlocked {
            let next = now.advanced(by: configuration.recheckInterval)
            let isNew = sandbox.machine.withLock { $0.idle.postponed(by: blocked.blockers, until: next) }
            guard isNew else { return }
            telemetry.postponed()
            let because = blocked.blockers.prefix(5).joined(separator: "\n")
            try await append(event("sandbox.standby_postponed", sandbox, ["because": because]))
            return
        }
        sandbox.machine.withLock { $0.idle.failed(error.message, now: now, retry: configuration.retryInterval) }
        try await append(
            event("sandbox.idle_action_failed", sandbox, ["action": action.rawValue, "code": error.code.rawValue]))
    }

    private func append(_ event: EventDraft) async throws {
        try await store.append([event])
        feed.signal()
    }

    private func pruneLater() {
        let oldest = clock.now.adding(seconds: -Idempotency.lifetime)
        _ = operations.submit {
            do {
                try await self.store.prune(idempotencyBefore: oldest)
            } catch {
                self.logger.warning("Old records could not be removed", metadata: ["error": "\(error)"])
            }
        }
    }
}

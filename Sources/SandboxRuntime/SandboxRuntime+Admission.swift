internal import Isolation
internal import Logging
public import SandboxModel
internal import Store
internal import Synchronization

// Room on the node: who waits for it, and who makes it.
extension SandboxRuntime {
    /// Waits until the node has room for a sandbox, then starts it by `body`. What is let in holds its part of the node
    /// until its state is one without processes (``settle(_:_:to:)``).
    ///
    /// - Parameter growth: Bytes of real memory that it will take soon.
    /// - Throws: ``SandboxError`` with `overloaded` or `unsupported`, before anything is done; what `body` throws.
    func admitted(
        _ sandbox: Sandbox, _ transition: Transition, growth: Int64, _ body: () async throws -> Void
    ) async throws {
        let began = clock.moment
        let group = group(of: sandbox)
        do {
            let request = Admission.Request(
                sandbox: sandbox.id, group: group, demand: Demand(sandbox.limits), growth: growth, since: began)
            try await admission.enter(request, transition) { [self] in makeRoom() }
        } catch {
            telemetry.refused(.from(error))
            // Whoever was behind it may fit.
            makeRoom()
            throw error
        }
        telemetry.admitted(seconds: clock.moment.seconds(since: began))
        defer {
            admission.started(sandbox.id)
            makeRoom()
        }
        try await body()
    }

    /// Whose turn it takes when it waits.
    func group(of sandbox: Sandbox) -> String {
        sandbox.machine.withLock { $0.spec.value.labels[admission.policy.fairLabel] } ?? ""
    }

    /// Lets in whom it can, and puts idle sandboxes to standby for the others. Called on every change that may matter;
    /// it never waits.
    func makeRoom() {
        guard admission.beginRound() else { return }
        repeat {
            guard let shortfall = admission.grant() else { continue }
            // What nobody has asked for yet goes first.
            if giveUpPrebooted() { continue }
            for victim in victims(shortfall) { evict(victim) }
        } while admission.endRound()
    }

    /// Idle sandboxes whose standby would make up for the shortfall, the least recently used first; none if all of them
    /// together would not.
    func victims(_ shortfall: AdmissionQueue.Shortfall) -> [Sandbox] {
        var lacking = shortfall.demand
        var chosen: [Sandbox] = []
        for sandbox in evictable() {
            if lacking.clamped == .none, !chosen.isEmpty || !shortfall.isReal { break }
            chosen.append(sandbox)
            lacking = lacking - Demand(sandbox.limits)
        }
        return lacking.clamped == .none ? chosen : []
    }

    /// Sandboxes that nobody would miss for the moment, the least recently used first.
    private func evictable() -> [Sandbox] {
        let now = clock.moment
        let grace = admission.policy.grace.seconds
        let found = registry.all.compactMap { sandbox -> (Sandbox, Moment)? in
            sandbox.machine.withLock { machine in
                guard case .running = machine.phase, !machine.idle.probing,
                    machine.idle.mayLeave(machine.spec.value.lifecycle, now: now, grace: grace),
                    expired(sandbox, machine, now: now) == nil
                else { return nil }
                return (sandbox, machine.idle.idleSince)
            }
        }
        return found.sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// Puts a sandbox to standby to make room, if it turns out to be idle inside as well. This needs no room itself, so
    /// nothing can wait for each other in a circle.
    private func evict(_ sandbox: Sandbox) {
        let claimed = sandbox.machine.withLock { machine in
            guard case .running = machine.phase, !machine.idle.probing, admission.leave(sandbox.id) else {
                return false
            }
            machine.idle.probing = true
            return true
        }
        guard claimed else { return }
        let accepted = operations.submit { [self] in
            let outcome = await leaveNow(sandbox)
            telemetry.evicted(outcome)
            sandbox.machine.withLock { $0.idle.probing = false }
            admission.left(sandbox.id)
            makeRoom()
        }
        if !accepted { admission.left(sandbox.id) }
    }

    private func leaveNow(_ sandbox: Sandbox) async -> String {
        do {
            guard case .running(let incarnation) = sandbox.machine.withLock({ $0.phase }) else { return "called_off" }
            await sample(sandbox)
            let grace = admission.policy.grace.seconds
            guard try await look(into: sandbox, incarnation, { $0.mayLeave($1, now: $2, grace: grace) }) else {
                return "in_use"
            }
            guard case .begin(let work) = sandbox.machine.withLock({ $0.decide(.pressureStandby) }) else {
                return "called_off"
            }
            begin(work, on: sandbox)
            try await work.transition.wait()
            return "ok"
        } catch {
            let known = SandboxError.from(error)
            try? await put(off: .standby, sandbox, known)
            return known.code.rawValue
        }
    }

    // MARK: Time

    /// Looks after those who wait, and after the machine's memory, until the task is cancelled.
    func tendAdmission() async {
        while !Task.isCancelled {
            lookAtAdmission()
            let pause: Duration = admission.hasWaiters ? .milliseconds(100) : configuration.tick
            do { try await clock.sleep(for: pause) } catch { return }
        }
    }

    func lookAtAdmission() {
        admission.expire(clock.moment)
        relieve()
        makeRoom()
        let queue = admission.queue
        telemetry.node(queue)
    }

    /// When the machine's memory is really short, whatever was promised, the sandboxes that were idle longest go first.
    private func relieve() {
        let queue = admission.queue
        guard !queue.held.isEmpty, queue.leaving.count < 2, let available = admission.policy.availableMemory(),
            available < admission.policy.memoryReserve, !giveUpPrebooted()
        else { return }
        for victim in victims(.init(demand: .none, isReal: true)) { evict(victim) }
    }

    /// What the node has, what is promised of it, and who waits.
    public func node() -> NodeResource {
        let queue = admission.queue
        let policy = admission.policy
        let memory = HostMemory.read()
        let waited = queue.oldest.map { max(0, clock.moment.seconds(since: $0)) } ?? 0
        return NodeResource(
            capacity: policy.capacity, overcommit: policy.overcommit,
            reserved: NodeCapacity(
                memoryMiB: Int(queue.reserved.memory >> 20), cpus: (queue.reserved.cpus * 1000).rounded() / 1000,
                sandboxes: queue.reserved.sandboxes),
            host: .init(
                memoryTotalBytes: memory?.total ?? 0, memoryAvailableBytes: policy.availableMemory() ?? 0,
                memoryReserveBytes: policy.memoryReserve, cpus: HostMemory.cores),
            queue: .init(
                waiting: queue.waiting, limit: policy.queueLimit, longestWait: waited,
                timeout: policy.timeout.seconds, fairLabel: policy.fairLabel, starting: queue.starting.count,
                parallelStarts: policy.parallelStarts, leaving: queue.leaving.count))
    }
}

extension SandboxRecord.Status {
    /// Whether the sandbox may have processes: a new server counts it until it knows better.
    var mayHaveProcesses: Bool {
        switch state {
        case .creating, .running, .paused, .suspending, .resuming, .stopping: true
        case .standby, .stopped, .failed: execution != nil
        }
    }
}

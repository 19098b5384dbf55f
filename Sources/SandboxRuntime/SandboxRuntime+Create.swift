internal import Faults
internal import Isolation
internal import Logging
internal import SandboxImages
public import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// Creation.
extension SandboxRuntime {
    /// Makes a sandbox and starts it. Returns when it runs.
    ///
    /// If it cannot be started, nothing of it is left. Cancelling the caller does not end the creation.
    ///
    /// - Parameter idempotency: A repeated creation with the same key and fingerprint within 24 hours returns the same
    ///   sandbox as it is now, as long as it exists; one that comes while the first is under way waits for it.
    /// - Throws: ``SandboxError`` with `invalid_request` or `invalid_name`, `template_not_found`, `name_taken`,
    ///   `idempotency_conflict`, `unsupported` if the tier cannot run here, `no_space`, `driver_failed`,
    ///   `overloaded` if the node has no room in time, and `unsupported` if it can never have so much.
    public func create(_ spec: SandboxSpec, idempotency: Idempotency?) async throws -> SandboxResource {
        let spec = try spec.validated()
        if let idempotency, !Idempotency.isValid(key: idempotency.key) {
            throw SandboxError(.invalidRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters.")
        }
        while true {
            do {
                return try await createOnce(spec, idempotency)
            } catch let error as SandboxError where error.code == .cancelled && idempotency != nil {
                // This one had joined a creation with the same key that was given up before its turn, because the others
                // that waited for it had gone.
                try Task.checkCancellation()
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func createOnce(_ spec: ValidatedSpec, _ idempotency: Idempotency?) async throws -> SandboxResource {
        if isStopping { throw SandboxError.stopping }
        guard registry.isLoaded else { throw SandboxError.starting }
        let member = await takePrebooted(for: spec)
        let transition = Transition(.create, beginning: member?.incarnation.id ?? ExecutionID())
        transition.patience = AdmissionWait.limit
        let id = member?.id ?? SandboxID()
        if let idempotency {
            let mine = Registry.PendingKey(fingerprint: idempotency.fingerprint, transition: transition, sandbox: id)
            if let other = registry.claim(idempotency.key, mine) {
                if let member { await giveBack(member) }
                return try await result(of: other, idempotency)
            }
        }
        let sandbox: Sandbox
        do {
            if let idempotency, let former = try await formerResult(idempotency) {
                // Those who came meanwhile have the same key, and find what this one found.
                release(idempotency, transition, .success(()))
                if let member { await giveBack(member) }
                return former
            }
            sandbox = try await prepare(spec, id, transition)
        } catch {
            if let idempotency { release(idempotency, transition, .failure(.from(error))) }
            if let member { await giveBack(member) }
            throw error
        }
        let accepted = operations.submit {
            await self.perform(transition, on: sandbox) {
                // Before anybody hears of the end: whoever asks again after a failure must not find this one.
                defer { if let idempotency { self.registry.release(idempotency.key) } }
                try await self.create(sandbox, transition, idempotency, member)
            }
        }
        if !accepted { transition.finish(.failure(.stopping)) }
        try await transition.wait()
        return sandbox.resource(clock: clock)
    }

    private func release(_ idempotency: Idempotency, _ transition: Transition, _ outcome: Result<Void, SandboxError>) {
        registry.release(idempotency.key)
        transition.finish(outcome)
    }

    /// The sandbox of a creation under way with the same key.
    private func result(of pending: Registry.PendingKey, _ idempotency: Idempotency) async throws -> SandboxResource {
        guard pending.fingerprint == idempotency.fingerprint else { throw SandboxError.keyInUse }
        try await pending.transition.wait()
        if let sandbox = registry[pending.sandbox] { return sandbox.resource(clock: clock) }
        if let former = try await formerResult(idempotency) { return former }
        throw SandboxError.notFound(pending.sandbox.rawValue)
    }

    /// The sandbox of a creation that is over, with the same key.
    private func formerResult(_ idempotency: Idempotency) async throws -> SandboxResource? {
        let oldest = clock.now.adding(seconds: -Idempotency.lifetime)
        guard let (id, fingerprint) = try await store.sandbox(idempotencyKey: idempotency.key, since: oldest),
            let sandbox = registry[id]
        else { return nil }
        guard fingerprint == idempotency.fingerprint else { throw SandboxError.keyInUse }
        return sandbox.resource(clock: clock)
    }

    /// Checks what a creation needs, and takes the name.
    private func prepare(_ spec: ValidatedSpec, _ id: SandboxID, _ transition: Transition) async throws -> Sandbox {
        let template = try await images.template(spec.value.template)
        let tier = try await tier(of: spec, template.resource)
        // What the template says is part of the sandbox from now on, also when the template says something else later.
        var resolved = spec.value
        resolved.limits = LimitsSpec(try limits(of: spec, template.resource))
        let spec = try resolved.validated()
        try admission.check(Demand(ResourceLimits(spec.value.limits)))
        let now = clock.now
        let record = SandboxRecord(
            id: id, spec: spec, templateVersion: template.resource.version, isolation: tier,
            initLayer: shared.withLock { $0.initLayer }, createdAt: now,
            status: .init(
                state: .creating, changedAt: now, lastActiveAt: now, execution: transition.execution,
                boot: configuration.bootID))
        let sandbox = Sandbox(
            record: record, phase: .creating(transition), template: Prepared(template, spec.value), now: clock.moment,
            wall: now)
        try registry.add(sandbox)
        return sandbox
    }

    /// What is asked for, what the template says where nothing is, and what the server says where that says nothing.
    func limits(of spec: ValidatedSpec, _ template: TemplateResource) throws -> ResourceLimits {
        let asked = spec.value.limits.over(template.limits)
        guard configuration.diskQuota == 0 else {
            return ResourceLimits(asked.over(LimitsSpec(diskMiB: configuration.diskQuota)))
        }
        guard asked.diskMiB == nil else {
            throw SandboxError(
                .unsupported, "This server does not bound what a sandbox writes, so limits.disk_mib cannot be had.",
                hint: "leave it out, or start the server without --disk-quota 0")
        }
        return ResourceLimits(asked)
    }

    private func create(
        _ sandbox: Sandbox, _ transition: Transition, _ idempotency: Idempotency?, _ member: Prebooted?
    ) async throws {
        do {
            let record = sandbox.record
            try Step.createBegun.reached()
            try await store.insert(
                record, idempotency: idempotency, events: [event("sandbox.created", sandbox)], durability: .process)
            feed.signal()
            try Step.createRecorded.reached()
            try await admitted(sandbox, transition, growth: configuration.freshMemory) {
                let incarnation = try await begin(sandbox, transition, member)
                try Step.createLaunched.reached()
                // From here on it is promised to the caller.
                try await confirmRunning(
                    sandbox, transition, incarnation, from: "creating", durability: sandbox.durable ? .device : .process
                )
            }
        } catch {
            await undoCreation(sandbox, transition, error)
            throw error
        }
    }

    /// The processes of a new sandbox: those that were booted ahead, if there are some and they answer, or its own.
    private func begin(
        _ sandbox: Sandbox, _ transition: Transition, _ member: Prebooted?
    ) async throws -> Incarnation {
        starts.add(1, ordering: .relaxed)
        if let member, let incarnation = try await adopt(member, as: sandbox) {
            return try await owned(incarnation, sandbox, transition)
        }
        try await storage.createSandbox(
            sandbox.id, durable: sandbox.durable, diskMiB: sandbox.limits.diskMiB)
        try Step.createDirectoriesMade.reached()
        return try await launch(sandbox, transition)
    }

    private func undoCreation(_ sandbox: Sandbox, _ transition: Transition, _ error: any Error) async {
        // A deletion that overtook it cleans up itself.
        guard isCurrent(transition, sandbox) else { return }
        do {
            if let execution = transition.execution { try await destroy(execution, of: sandbox) }
            try Step.createUndoEnded.reached()
            try await storage.trashSandbox(sandbox.id)
            try Step.createUndoTrashed.reached()
            let code = SandboxError.from(error).code.rawValue
            try await store.remove(
                sandbox.id, events: [event("sandbox.deleted", sandbox, ["reason": "creation failed: \(code)"])],
                durability: .process)
            feed.signal()
            Step.createUndone.passed()
        } catch {
            // The record stays `creating`, so the next start of the server removes what is left.
            logger.error("A failed creation could not be undone", metadata: log(sandbox, error))
        }
        registry.remove(sandbox)
        settle(sandbox, transition, to: .gone)
        sweepLater()
    }
}

extension SandboxError {
    static let keyInUse = SandboxError(
        .idempotencyConflict, "The idempotency key was used for another request.", hint: "use a new key per request")
}

extension Sandbox {
    /// As the store has it.
    var record: SandboxRecord {
        machine.withLock { machine in
            SandboxRecord(
                id: id, spec: machine.spec, templateVersion: templateVersion, isolation: tier,
                initLayer: machine.initLayer, createdAt: createdAt, status: machine.status)
        }
    }
}

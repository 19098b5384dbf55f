internal import Faults
internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxImages
internal import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// What a new server does with what it finds: records, executions that outlived the former server, directories.
extension SandboxRuntime {
    /// What becomes of a sandbox that was found.
    enum Adoption: Sendable, Hashable {
        /// Open the session of the survivor again; `running` or `paused`, as recorded.
        case reattach(paused: Bool)
        /// A wake or start whose end nobody recorded: if the guest answers, it is done.
        case completeStart
        /// A standby was under way: asleep if its image was finished. Otherwise the guest goes on if it survives, and
        /// memory is lost if not.
        case standbyIfComplete
        /// Nothing was under way.
        case keep
        case lost(String)
        case finishStop
        case delete(String)
        case missingFiles
    }

    /// Installs the init and loads all records. Requests are answered from here on; those for a sandbox that is not yet
    /// taken over wait for that.
    func load() async throws {
        let layer = try await storage.installInitLayer(from: configuration.initBinary)
        shared.withLock { $0.initLayer = layer }
        let (now, wall) = (clock.moment, clock.now)
        let records = try await store.sandboxes()
        try Step.reconcileLoaded.reached()
        // Whatever has processes counts, even if it is more than fits; until it is settled, what may have some counts.
        for record in records where record.status.mayHaveProcesses {
            admission.hold(record.id, Demand(ResourceLimits(record.spec.value.limits)))
        }
        registry.load(
            records.map { Sandbox(record: $0, phase: .adopting(Transition(.adopt)), now: now, wall: wall) })
    }

    /// Takes over every sandbox, and removes what belongs to none.
    ///
    /// It uses the same steps as the normal path: what was under way is finished or rolled back from its recorded
    /// intent. The first failure of one sandbox (a broken record, a driver that refuses) is that sandbox's alone.
    func reconcile() async throws {
        // Finding out what a driver can do takes a while; nothing here has to wait for it.
        for tier in tiersByDefault { _ = operations.submit { _ = await self.capabilities(of: tier) } }
        var survivors: [String: Set<ExecutionID>] = [:]
        for (tier, driver) in drivers { survivors[tier] = Set(try await driver.survivors()) }
        let directories = try await storage.sandboxIDs()
        try Step.reconcileSurveyed.reached()
        let found = registry.all.filter { sandbox in
            if case .adopting = sandbox.machine.withLock({ $0.phase }) { true } else { false }
        }
        let (alive, present) = (survivors, directories)
        // As recorded: what is taken over, or ended with its sandbox, is nobody's orphan.
        let owned = Set(found.compactMap { $0.machine.withLock { $0.status.execution } })
        await withTaskGroup(of: Void.self) { group in
            var waiting = found.makeIterator()
            for _ in 0..<configuration.parallelism {
                guard let sandbox = waiting.next() else { break }
                group.addTask { await self.adopt(sandbox, alive[sandbox.tier] ?? [], present) }
            }
            while await group.next() != nil {
                guard let sandbox = waiting.next() else { continue }
                group.addTask { await self.adopt(sandbox, alive[sandbox.tier] ?? [], present) }
            }
        }
        await removeOrphans(survivors.mapValues { $0.subtracting(owned) }, directories)
        Step.reconcileDone.passed()
        shared.withLock { $0.ready = true }
        logger.info("Ready", metadata: ["sandboxes": "\(found.count)"])
    }

    private func removeOrphans(
        _ survivors: [String: Set<ExecutionID>], _ directories: Set<SandboxID>
    ) async {
        for (tier, executions) in survivors {
            for execution in executions {
                logger.warning("An execution without a sandbox is ended", metadata: ["execution": "\(execution)"])
                do {
                    try await drivers[tier]?.destroy(execution)
                    Step.orphanEnded.passed()
                } catch {
                    logger.error("It could not be ended", metadata: ["execution": "\(execution)", "error": "\(error)"])
                }
            }
        }
        for id in directories where registry[id] == nil {
            logger.warning("A directory without a sandbox is removed", metadata: ["sandbox": "\(id)"])
            try? await storage.trashSandbox(id)
            Step.orphanTrashed.passed()
        }
        await removeOldLayers()
        sweepLater()
    }

    private func removeOldLayers() async {
        let current = shared.withLock { $0.initLayer }
        let used = Set(registry.all.map { sandbox in sandbox.machine.withLock { $0.initLayer } } + [current])
        do {
            try await storage.removeInitLayers(except: used)
        } catch {
            logger.warning("Old init layers could not be removed", metadata: ["error": "\(error)"])
        }
    }

    /// The whole table: what to do with a record, given whether its execution survived and its directory is there.
    static func adoption(
        of status: SandboxRecord.Status, durable: Bool, survives: Bool, hasFiles: Bool, sameBoot: Bool
    ) -> Adoption {
        if status.deleting { return .delete("its deletion was interrupted") }
        if status.state == .creating { return .delete("its creation was interrupted") }
        guard hasFiles else { return .missingFiles }
        // The layer of an ephemeral sandbox is not synced while it runs: a crash of the host may have torn it.
        let torn = !durable && !survives && !sameBoot
        switch status.state {
        case .running, .paused:
            if survives { return .reattach(paused: status.state == .paused) }
            return torn ? .delete("the host restarted while it ran") : .lost(lostReason(sameBoot))
        case .suspending:
            return .standbyIfComplete
        case .resuming:
            if survives { return .completeStart }
            return .keep
        case .stopping: return .finishStop
        case .standby, .stopped, .failed, .creating: return .keep
        }
    }

    private static func lostReason(_ sameBoot: Bool) -> String {
        sameBoot ? "it ended while the server was away" : "the host restarted"
    }

    private func adopt(_ sandbox: Sandbox, _ survivors: Set<ExecutionID>, _ directories: Set<SandboxID>) async {
        let machine = sandbox.machine.withLock { $0 }
        guard case .adopting(let transition) = machine.phase else { return }
        let status = machine.status
        let survives = status.execution.map(survivors.contains) ?? false
        let adoption = Self.adoption(
            of: status, durable: sandbox.durable, survives: survives, hasFiles: directories.contains(sandbox.id),
            sameBoot: status.boot == configuration.bootID)
        logger.debug("Taking over", metadata: ["sandbox": "\(sandbox.id)", "as": "\(adoption)"])
        await perform(transition, on: sandbox) {
            do {
                try await self.carryOut(adoption, on: sandbox, transition, status, survives: survives)
            } catch {
                if self.isCurrent(transition, sandbox) { await self.fail(sandbox, transition, .from(error)) }
                throw error
            }
        }
    }

    private func carryOut(
        _ adoption: Adoption, on sandbox: Sandbox, _ transition: Transition, _ status: SandboxRecord.Status,
        survives: Bool
    ) async throws {
        switch adoption {
        case .reattach(let paused): try await takeOver(sandbox, transition, status, paused: paused)
        case .completeStart: try await completeStart(sandbox, transition, status)
        case .standbyIfComplete: try await standbyIfComplete(sandbox, transition, status, survives: survives)
        case .keep: try await keep(sandbox, transition, status)
        case .lost(let reason):
            try await lose(sandbox, transition, status.execution, .execution(ExecutionEnd(code: nil, detail: reason)))
        case .finishStop:
            let type = status.problem?.code == .memoryLost ? "sandbox.memory_lost" : "sandbox.stopped"
            try await finishStop(sandbox, transition, status.execution, problem: status.problem, type: type, [:])
        case .delete(let reason):
            logger.notice("A sandbox is removed", metadata: ["sandbox": "\(sandbox.id)", "reason": "\(reason)"])
            guard case .begin(let work) = sandbox.machine.withLock({ $0.decide(.delete) }) else { return }
            // Nothing of the adoption is under way, so there is nothing to wait for.
            await perform(work.transition, on: sandbox) {
                try await self.delete(sandbox, work.transition, nil, overtaken: nil)
            }
        case .missingFiles:
            if let execution = status.execution, survives { try await destroy(execution, of: sandbox) }
            await fail(
                sandbox, transition,
                SandboxError(.storeFailed, "The sandbox's files are gone.", hint: "delete it, or restore its directory")
            )
        }
    }

    private func reattached(_ sandbox: Sandbox, _ id: ExecutionID?) async throws -> Incarnation {
        guard let id else { throw SandboxError(.driverFailed, "The sandbox has no processes.") }
        await prepareDefaults(sandbox)
        return Incarnation(execution: try await driver(of: sandbox).reattach(id))
    }

    /// The template may be gone; a sandbox that runs goes on all the same.
    private func prepareDefaults(_ sandbox: Sandbox) async {
        guard let template = try? await images.template(sandbox.templateName, version: sandbox.templateVersion) else {
            return
        }
        let prepared = Prepared(template, sandbox.machine.withLock { $0.spec.value })
        sandbox.template.withLock { $0 = prepared }
    }

    private func takeOver(
        _ sandbox: Sandbox, _ transition: Transition, _ status: SandboxRecord.Status, paused: Bool
    ) async throws {
        do {
            let incarnation = try await insisting(sandbox, transition) {
                try await self.takenOver(sandbox, status, paused: paused)
            }
            // It runs, whatever the store can take just now; the record as it is leads the next server here again.
            await recordIfPossible(sandbox, transition, paused ? .paused : .running) { $0.checkpoint = nil }
            guard isCurrent(transition, sandbox) else { throw SandboxError.overtaken }
            Step.adoptConfirmed.passed()
            settle(sandbox, transition, to: paused ? .paused(incarnation) : .running(incarnation))
            watch(sandbox, incarnation)
            // A wake may have been confirmed by a server that did not come to removing the image.
            discardCheckpointsLater(sandbox)
        } catch {
            guard isCurrent(transition, sandbox) else { throw error }
            logger.warning("A sandbox could not be taken over", metadata: log(sandbox, error))
            let end = ExecutionEnd(code: nil, detail: "it could not be taken over")
            try await lose(sandbox, transition, status.execution, .execution(end))
        }
    }

    private func takenOver(
        _ sandbox: Sandbox, _ status: SandboxRecord.Status, paused: Bool
    ) async throws -> Incarnation {
        let incarnation = try await reattached(sandbox, status.execution)
        do {
            try Step.adoptReattached.reached()
            if paused {
                // Only a running init can begin a session.
                try await incarnation.execution.pause()
            } else {
                try await incarnation.execution.resume()
                try await incarnation.session.ping(deadline: configuration.guestDeadline)
            }
            try Step.adoptAnswered.reached()
            return incarnation
        } catch {
            await incarnation.session.close()
            throw error
        }
    }

    /// Tries more than once: what keeps a server from reaching a guest may pass, and memory that is given up does not
    /// come back.
    func insisting<R: Sendable>(
        _ sandbox: Sandbox, _ transition: Transition, _ body: () async throws -> R
    ) async throws -> R {
        for attempt in 1... {
            do {
                return try await body()
            } catch {
                guard attempt < configuration.reattachAttempts, isCurrent(transition, sandbox) else { throw error }
                logger.notice("A sandbox is not reached yet", metadata: log(sandbox, error))
                try await Task.sleep(for: .milliseconds(200 * attempt))
            }
        }
        throw SandboxError.overtaken
    }

    /// Tries as long as the store takes nothing, being locked or full: to give up would be to give up an image that is
    /// whole. Until then the server is not ready, and who asks for the sandbox waits.
    private func whenStoreWorks(_ sandbox: Sandbox, _ body: () async throws -> Void) async throws {
        while true {
            do {
                return try await body()
            } catch let error as SandboxError where [.storeFailed, .noSpace].contains(error.code) && !isStopping {
                logger.warning("What was found cannot be recorded yet", metadata: log(sandbox, error))
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// A guest that answers has run since, so its image is stale; one that does not never got that far.
    private func completeStart(
        _ sandbox: Sandbox, _ transition: Transition, _ status: SandboxRecord.Status
    ) async throws {
        let incarnation: Incarnation
        do {
            incarnation = try await reattached(sandbox, status.execution)
            try await incarnation.session.ping(deadline: configuration.guestDeadline)
        } catch {
            guard isCurrent(transition, sandbox) else { throw error }
            return try await keep(sandbox, transition, status)
        }
        Step.completeStartAnswered.passed()
        let woken = status.checkpoint != nil
        let detail = ["from": woken ? "standby" : "stopped"]
        // Without its record, the next server comes here again, and after a crash of the host the image is gone.
        await recordIfPossible(
            sandbox, transition, .running, events: [event("sandbox.running", sandbox, detail)], durability: .device
        ) { status in
            if woken { status.wakes += 1 }
            status.checkpoint = nil
        }
        guard isCurrent(transition, sandbox) else { throw SandboxError.overtaken }
        Step.completeStartConfirmed.passed()
        settle(sandbox, transition, to: .running(incarnation))
        watch(sandbox, incarnation)
        discardCheckpointsLater(sandbox)
    }

    /// Whoever lets the guest go on discards the image first. So one that is whole is of a guest that has not run since,
    /// and is worth more than processes of which nobody knows whether they still answer.
    private func standbyIfComplete(
        _ sandbox: Sandbox, _ transition: Transition, _ status: SandboxRecord.Status, survives: Bool
    ) async throws {
        do {
            let manifest = try await storage.validateCheckpoint(of: sandbox.id, generation: status.checkpointGeneration)
            try await storage.verifyCheckpoint(manifest)
            guard manifest.execution == status.execution else {
                throw UnusableCheckpoint(reason: "it is of another time")
            }
            Step.completeStandbyValidated.passed()
            await prepareDefaults(sandbox)
            try await whenStoreWorks(sandbox) {
                try await record(
                    sandbox, transition, .standby,
                    events: [event("sandbox.standby", sandbox, ["reason": "recovered"])], durability: .device
                ) { status in
                    status.checkpoint = .init(generation: manifest.generation, bytes: manifest.bytes)
                }
            }
            Step.completeStandbyConfirmed.passed()
            // The memory is recorded first: if the processes cannot be ended, it is still there.
            if let execution = status.execution { try await destroy(execution, of: sandbox) }
            await recordIfPossible(sandbox, transition, .standby) { status in
                status.execution = nil
                status.boot = ""
            }
            settle(sandbox, transition, to: .standby)
        } catch let unusable as UnusableCheckpoint {
            if survives {
                try await storage.discardCheckpoints(of: sandbox.id, through: status.checkpointGeneration)
                return try await takeOver(sandbox, transition, status, paused: false)
            }
            let end = ExecutionEnd(code: nil, detail: "it ended in the middle of a standby: \(unusable.reason)")
            if !sandbox.durable, status.boot != configuration.bootID {
                try await carryOut(
                    .delete("the host restarted while it ran"), on: sandbox, transition, status, survives: false)
            } else {
                try await lose(sandbox, transition, status.execution, .execution(end))
            }
        }
    }

    /// Rests where the record says; a wake or start that got nowhere goes back to where it came from.
    private func keep(_ sandbox: Sandbox, _ transition: Transition, _ status: SandboxRecord.Status) async throws {
        if let execution = status.execution { try await destroy(execution, of: sandbox) }
        Step.keepEnded.passed()
        await prepareDefaults(sandbox)
        let rest: (SandboxMachine.Rest, SandboxState)
        switch status.state {
        case .standby: rest = (.standby, .standby)
        case .resuming: rest = status.checkpoint == nil ? (.stopped, .stopped) : (.standby, .standby)
        case .failed: rest = (.failed, .failed)
        default: rest = (.stopped, .stopped)
        }
        if status.execution != nil || status.state != rest.1 {
            try await record(sandbox, transition, rest.1) { status in
                status.execution = nil
                status.boot = ""
            }
        }
        Step.keepConfirmed.passed()
        settle(sandbox, transition, to: rest.0)
        if status.checkpoint == nil { discardCheckpointsLater(sandbox) }
    }
}

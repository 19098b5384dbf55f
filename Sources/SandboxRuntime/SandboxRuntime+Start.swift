internal import Faults
internal import Isolation
internal import Logging
internal import SandboxImages
internal import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// The transitions that end in `running`: the first start, a fresh start on old files, a wake.
extension SandboxRuntime {
    /// A fresh start on the files that there are, from `stopped` or `failed`.
    func restart(_ sandbox: Sandbox, _ transition: Transition) async throws {
        let origin = sandbox.machine.withLock { $0.status }
        let rest: SandboxMachine.Rest = origin.state == .failed ? .failed : .stopped
        try await inTurn(sandbox, transition, growth: configuration.freshMemory, orBackTo: rest) {
            try await clearAway(sandbox, transition, origin)
            do {
                try await recordResuming(sandbox, transition, from: origin.state)
                try Step.startRecorded.reached()
                try await startAfresh(sandbox, transition, problem: origin.problem)
            } catch {
                try await fallBack(sandbox, transition, error)
            }
        }
    }

    /// Carries out a wake or start when its turn comes; until then, nothing is recorded. If it does not come, the sandbox
    /// is as it was.
    private func inTurn(
        _ sandbox: Sandbox, _ transition: Transition, growth: Int64, orBackTo rest: SandboxMachine.Rest,
        _ body: () async throws -> Void
    ) async throws {
        var isTurn = false
        do {
            try await admitted(sandbox, transition, growth: growth) {
                isTurn = true
                try await body()
            }
        } catch {
            if !isTurn { settle(sandbox, transition, to: rest) }
            throw error
        }
    }

    /// A wake from standby.
    ///
    /// The image on disk fits the files only as long as the guest has not run: from the confirmation of the wake on it
    /// is stale, and the next standby writes a new one. So the confirmation must reach the device before the caller gets
    /// the sandbox; the removal of the stale image can wait.
    ///
    /// If the restore fails, the image is kept and the sandbox is in standby again: the reason may pass (no space, no
    /// memory, a host that is too busy), and memory that is given up never comes back. Only an image that is proven to be
    /// unusable (``UnusableCheckpoint``: it is missing, torn or altered) is given up, and the sandbox starts from its
    /// files, with the problem in its record. Whoever wants to give up the memory of a sandbox that fails to wake again
    /// and again can stop it.
    func wake(_ sandbox: Sandbox, _ transition: Transition) async throws {
        let origin = sandbox.machine.withLock { $0.status }
        let growth = (origin.checkpoint?.bytes ?? 0) + configuration.freshMemory
        try await inTurn(sandbox, transition, growth: growth, orBackTo: origin.state == .failed ? .failed : .standby) {
            try await clearAway(sandbox, transition, origin)
            do {
                try await wake(sandbox, transition, origin)
            } catch {
                try await fallBack(sandbox, transition, error)
            }
        }
    }

    private func wake(_ sandbox: Sandbox, _ transition: Transition, _ origin: SandboxRecord.Status) async throws {
        try await recordResuming(sandbox, transition, from: .standby)
        try Step.wakeRecorded.reached()
        let manifest: CheckpointManifest
        do {
            guard let checkpoint = origin.checkpoint else {
                throw UnusableCheckpoint(reason: "it was never recorded")
            }
            manifest = try await storage.validateCheckpoint(of: sandbox.id, generation: checkpoint.generation)
        } catch let unusable as UnusableCheckpoint {
            return try await wakeWithoutMemory(sandbox, transition, unusable)
        }
        try Step.wakeValidated.reached()
        let incarnation: Incarnation
        do {
            incarnation = try await restore(sandbox, transition, manifest)
        } catch let error as SandboxError {
            guard let unusable = error.cause as? UnusableCheckpoint else { throw error }
            return try await wakeWithoutMemory(sandbox, transition, unusable)
        }
        // The guest has run: its image is stale, and there is no way back.
        Step.wakeRestored.passed()
        try await confirmWake(sandbox, transition, incarnation, origin)
    }

    /// A transition that failed may have left processes. They must be gone before others use the files.
    private func clearAway(
        _ sandbox: Sandbox, _ transition: Transition, _ origin: SandboxRecord.Status
    ) async throws {
        guard let former = origin.execution else { return }
        do {
            try await destroy(former, of: sandbox)
        } catch {
            await fail(sandbox, transition, .from(error))
            throw error
        }
    }

    private func recordResuming(_ sandbox: Sandbox, _ transition: Transition, from state: SandboxState) async throws {
        let boot = configuration.bootID
        try await record(
            sandbox, transition, .resuming, events: [event("sandbox.resuming", sandbox, ["from": state.rawValue])]
        ) { status in
            status.execution = transition.execution
            status.boot = boot
        }
    }

    private func restore(
        _ sandbox: Sandbox, _ transition: Transition, _ manifest: CheckpointManifest
    ) async throws -> Incarnation {
        if let capabilities = await capabilities(of: sandbox.tier), capabilities.version != manifest.driverVersion {
            throw SandboxError(
                .unsupported,
                "The memory was written by \(sandbox.tier) \(manifest.driverVersion), here is \(capabilities.version).",
                hint: "install that version, or stop the sandbox to start it afresh from its files")
        }
        let request = RestoreRequest(
            start: try await startRequest(sandbox, transition, initLayer: manifest.initLayer, fresh: false),
            checkpoint: storage.paths(of: sandbox.id).checkpoint(manifest.generation)
        ) { [storage] in
            do {
                try await storage.verifyCheckpoint(manifest)
            } catch let unusable as UnusableCheckpoint {
                throw SandboxError(.driverFailed, "The memory on disk is not what it was.", cause: unusable)
            }
        }
        let execution = try await driver(of: sandbox).restore(request)
        return try await owned(Incarnation(execution: execution), sandbox, transition)
    }

    private func confirmWake(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation, _ origin: SandboxRecord.Status
    ) async throws {
        do {
            try await record(
                sandbox, transition, .running, events: [event("sandbox.running", sandbox, ["from": "standby"])],
                durability: .device
            ) { status in
                status.wakes = origin.wakes + 1
                status.checkpoint = nil
                status.problem = nil
            }
        } catch let error as SandboxError where error.code == .invalidState {
            throw error
        } catch {
            // The guest runs, so its image is stale: going back would be the greater harm. A server that finds the
            // record `resuming` looks for the execution and takes it over.
            logger.error("A wake could not be confirmed", metadata: log(sandbox, error))
        }
        Step.wakeConfirmed.passed()
        settle(sandbox, transition, to: .running(incarnation))
        watch(sandbox, incarnation)
        discardCheckpointsLater(sandbox)
    }

    private func wakeWithoutMemory(
        _ sandbox: Sandbox, _ transition: Transition, _ unusable: UnusableCheckpoint
    ) async throws {
        logger.error("The memory of a sandbox is unusable", metadata: log(sandbox, unusable))
        let problem = ProblemResource(
            code: .memoryLost,
            message: "The memory on disk was unusable (\(unusable.reason)); it started from its files.",
            at: clock.now)
        try await record(
            sandbox, transition, .resuming,
            events: [event("sandbox.memory_lost", sandbox, ["reason": unusable.reason])], durability: .device
        ) { status in
            status.checkpoint = nil
            status.problem = problem
        }
        try Step.wakeMemoryGivenUp.reached()
        try await startAfresh(sandbox, transition, problem: problem)
        discardCheckpointsLater(sandbox)
    }

    private func startAfresh(_ sandbox: Sandbox, _ transition: Transition, problem: ProblemResource?) async throws {
        let incarnation = try await launch(sandbox, transition)
        try Step.startLaunched.reached()
        try await confirmRunning(sandbox, transition, incarnation, from: "stopped", problem: problem)
    }

    /// After a failed wake or start: the state before it, with the memory if there was some.
    private func fallBack(
        _ sandbox: Sandbox, _ transition: Transition, _ error: any Error
    ) async throws -> Never {
        guard isCurrent(transition, sandbox) else { throw error }
        if let execution = transition.execution {
            do {
                try await destroy(execution, of: sandbox)
            } catch {
                // What is left of it may still use the files.
                await fail(sandbox, transition, .from(error))
                throw error
            }
        }
        Step.fallBackEnded.passed()
        // A wake that found its memory unusable has nothing to go back to but the files.
        let status = sandbox.machine.withLock { $0.status }
        let hasMemory = status.checkpoint != nil
        let state: SandboxState = hasMemory ? .standby : .stopped
        await recordIfPossible(sandbox, transition, state) { status in
            status.execution = nil
            status.boot = ""
        }
        Step.fallBackRecorded.passed()
        settle(sandbox, transition, to: hasMemory ? .standby : .stopped)
        if !hasMemory { discardCheckpointsLater(sandbox) }
        throw error
    }

    // MARK: Parts

    /// Starts the processes on the sandbox's root.
    func launch(_ sandbox: Sandbox, _ transition: Transition) async throws -> Incarnation {
        let layer = shared.withLock { $0.initLayer }
        let request = try await startRequest(sandbox, transition, initLayer: layer, fresh: true)
        let execution = try await driver(of: sandbox).start(request)
        return try await owned(Incarnation(execution: execution), sandbox, transition)
    }

    /// Refuses an incarnation that came too late: a deletion has overtaken its transition.
    func owned(
        _ incarnation: Incarnation, _ sandbox: Sandbox, _ transition: Transition
    ) async throws -> Incarnation {
        if isCurrent(transition, sandbox) { return incarnation }
        try await destroy(incarnation.id, of: sandbox)
        throw SandboxError.overtaken
    }

    func confirmRunning(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation, from origin: String,
        durability: Durability = .process, problem: ProblemResource? = nil
    ) async throws {
        try await record(
            sandbox, transition, .running, events: [event("sandbox.running", sandbox, ["from": origin])],
            durability: durability, initLayer: shared.withLock { $0.initLayer }
        ) { status in
            status.checkpoint = nil
            status.problem = problem
        }
        Step.startConfirmed.passed()
        settle(sandbox, transition, to: .running(incarnation))
        watch(sandbox, incarnation)
    }

    private func startRequest(
        _ sandbox: Sandbox, _ transition: Transition, initLayer: String, fresh: Bool
    ) async throws -> StartRequest {
        guard let execution = transition.execution else {
            throw SandboxError(.internalError, "A start has no execution.")
        }
        return try await startRequest(
            sandbox.id, execution, rootfs: try await rootfs(of: sandbox), initLayer: initLayer,
            hostname: sandbox.name ?? sandbox.id.hostname, limits: sandbox.limits, durable: sandbox.durable,
            fresh: fresh)
    }

    func startRequest(
        _ id: SandboxID, _ execution: ExecutionID, rootfs: String, initLayer: String, hostname: String,
        limits: ResourceLimits, durable: Bool, fresh: Bool, isAhead: Bool = false
    ) async throws -> StartRequest {
        // A disk inside that meets a full one outside is damaged.
        guard try await storage.freeSpace() > configuration.startSpace else {
            throw SandboxError(
                .noSpace, "The data directory's device is full.", hint: "free some space and try again")
        }
        try await storage.prepareRoot(of: id, fresh: fresh)
        let layer: WritableLayer =
            switch try await storage.layer(of: id) {
            case .directories(let upper, let work): .directories(upper: upper, work: work)
            case .image(let path, let place): .image(path: path, place: place)
            }
        let root = SandboxRoot(
            lower: [storage.initLayerPath(initLayer), rootfs], layer: layer, volatile: !durable, fresh: fresh)
        return StartRequest(
            sandbox: id, execution: execution, root: root, hostname: hostname, limits: limits, isAhead: isAhead)
    }

    /// The root of the template's version that the sandbox was created from.
    private func rootfs(of sandbox: Sandbox) async throws -> String {
        // Looked at every time: somebody may have removed it since.
        let template: Template
        do {
            template = try await images.template(sandbox.templateName, version: sandbox.templateVersion)
        } catch let error as SandboxError where error.code == .templateNotFound {
            throw SandboxError(
                .templateNotFound,
                "The version \(sandbox.templateVersion) of the template \(sandbox.templateName), which the sandbox is "
                    + "made from, is not there any more.",
                hint: "put it back, and the sandbox goes on as it was; or delete the sandbox")
        }
        let prepared = Prepared(template, sandbox.machine.withLock { $0.spec.value })
        sandbox.template.withLock { $0 = prepared }
        return prepared.rootfs
    }

    /// Removes checkpoints that no longer fit the files.
    func discardCheckpointsLater(_ sandbox: Sandbox) {
        let stale = sandbox.machine.withLock { $0.status.checkpointGeneration }
        _ = operations.submit {
            do {
                try await self.storage.discardCheckpoints(of: sandbox.id, through: stale)
            } catch {
                self.logger.warning("A stale checkpoint was not removed", metadata: self.log(sandbox, error))
            }
            self.sweepLater()
        }
    }

    /// Ends a transition in `failed`.
    func fail(
        _ sandbox: Sandbox, _ transition: Transition, _ error: SandboxError,
        _ change: (inout SandboxRecord.Status) -> Void = { _ in }
    ) async {
        let problem = ProblemResource(code: error.code, message: error.message, at: clock.now)
        let detail = ["code": error.code.rawValue, "message": error.message]
        await recordIfPossible(
            sandbox, transition, .failed, events: [event("sandbox.failed", sandbox, detail)], durability: .device
        ) { status in
            change(&status)
            status.problem = problem
        }
        settle(sandbox, transition, to: .failed)
    }
}

extension SandboxID {
    /// As a host name: the random part.
    var hostname: String { "nj-" + rawValue.dropFirst(3) }
}

internal import Faults
internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// The way to sleep, and pauses in RAM.
extension SandboxRuntime {
    /// Writes memory to disk and ends the processes on the host.
    ///
    /// The order keeps one of the two, the processes or a durable image, at every moment, and never lets both be used:
    /// the image is written while the guest is paused, made durable, and recorded; only then the processes are ended.
    /// Whatever fails before the record discards the image first and then lets the guest go on. A server that dies in
    /// between leaves a record `suspending`, and a paused guest that is resumed, or, if the host went down as well, an
    /// image that was finished or not.
    func standby(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation,
        _ suspension: SandboxMachine.Suspension
    ) async throws {
        let bytes: Int64
        var isWritten = false
        do {
            try await checkStandby(sandbox, transition, incarnation, suspension)
            try Step.standbyChecked.reached()
            bytes = try await writeImage(sandbox, transition, incarnation, isWritten: &isWritten)
        } catch {
            await turnBack(sandbox, transition, incarnation, suspension, mayHaveImage: isWritten)
            throw error
        }
        await meterLast(sandbox, incarnation)
        do {
            try await recordStandby(sandbox, transition, suspension, bytes: bytes)
        } catch {
            sandbox.machine.withLock { $0.uncommit(transition) }
            await turnBack(sandbox, transition, incarnation, suspension, mayHaveImage: true)
            throw error
        }
        Step.standbyAcknowledged.passed()
        // Whoever still waits for something inside is told that it is unavailable, not that it died.
        await incarnation.session.close()
        Step.standbySessionClosed.passed()
        do {
            try await destroy(incarnation.id, of: sandbox)
        } catch {
            // The memory is safe, but the files are still in use: nothing may be started on them.
            await fail(sandbox, transition, .from(error))
            throw error
        }
        Step.standbyEnded.passed()
        await recordIfPossible(sandbox, transition, .standby) { status in
            status.execution = nil
            status.boot = ""
        }
        Step.standbyConfirmed.passed()
        settle(sandbox, transition, to: .standby)
        sweepLater()
    }

    /// What can be known before anything is done. A checkpoint that fails may kill the sandbox.
    private func checkStandby(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation,
        _ suspension: SandboxMachine.Suspension
    ) async throws {
        if let capabilities = await capabilities(of: sandbox.tier), !capabilities.checkpoint.available {
            throw SandboxError(
                .unsupported, "Standby cannot be had here: \(capabilities.checkpoint.reason ?? "nobody knows why")",
                hint: "use pause or stop, or lifecycle.on_idle stop")
        }
        // Without control groups nobody knows how much it is; the driver may still refuse.
        let memory = (try? await incarnation.execution.stats().memoryBytes) ?? 0
        let free = try await storage.freeSpace()
        guard free - configuration.reservedSpace > Int64(clamping: memory) else {
            throw SandboxError(
                .noSpace, "The memory of \(memory >> 20) MiB does not fit on the data directory's device.",
                hint: "free some space and try again")
        }
        // A frozen init answers nothing.
        if suspension.fromPaused { try await incarnation.execution.resume() }
        let blockers = try await deadline(configuration.guestDeadline) {
            try await incarnation.session.checkpointBlockers()
        }
        guard blockers.isEmpty else { throw CheckpointBlocked(blockers).error }
    }

    /// - Parameter isWritten: Set when there may be an image from then on; before, there are only parts of one.
    /// - Returns: Bytes of the image.
    private func writeImage(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation, isWritten: inout Bool
    ) async throws -> Int64 {
        try await record(sandbox, transition, .suspending) { $0.checkpointGeneration += 1 }
        try Step.standbyRecorded.reached()
        let generation = sandbox.machine.withLock { $0.status.checkpointGeneration }
        try goesOn(sandbox, transition)
        try await incarnation.session.quiesce(deadline: configuration.guestDeadline)
        try Step.standbyQuiesced.reached()
        let directory = try await storage.beginCheckpoint(of: sandbox.id, generation: generation)
        try goesOn(sandbox, transition)
        let checksums = try await incarnation.execution.checkpoint(to: directory)
        try goesOn(sandbox, transition)
        let layer = sandbox.machine.withLock { $0.initLayer }
        let manifest = CheckpointManifest(
            sandbox: sandbox.id, execution: incarnation.id, generation: generation, tier: sandbox.tier,
            driverVersion: await capabilities(of: sandbox.tier)?.version ?? "",
            templateVersion: sandbox.templateVersion,
            initLayer: layer, createdAt: clock.now)
        let execution = incarnation.execution
        isWritten = true
        let bytes = try await storage.commitCheckpoint(manifest, checksums: checksums) {
            try await execution.syncFiles()
        }.bytes
        try Step.standbyImageDurable.reached()
        return bytes
    }

    private func recordStandby(
        _ sandbox: Sandbox, _ transition: Transition, _ suspension: SandboxMachine.Suspension, bytes: Int64
    ) async throws {
        guard sandbox.machine.withLock({ $0.commit(transition) }) else { throw SandboxError.calledOff }
        try Step.standbyCommitted.reached()
        let detail = ["bytes": "\(bytes)", "reason": suspension.cause.rawValue]
        try await record(
            sandbox, transition, .standby, events: [event("sandbox.standby", sandbox, detail)], durability: .device
        ) { status in
            status.checkpoint = .init(generation: status.checkpointGeneration, bytes: bytes)
            status.problem = nil
        }
    }

    private func goesOn(_ sandbox: Sandbox, _ transition: Transition) throws {
        guard sandbox.machine.withLock({ $0.continues(transition) }) else { throw SandboxError.calledOff }
    }

    /// After a standby that failed or was called off: running, or paused, as before; if the guest did not survive the
    /// attempt, stopped, with its files.
    private func turnBack(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation,
        _ suspension: SandboxMachine.Suspension, mayHaveImage: Bool
    ) async {
        guard isCurrent(transition, sandbox) else { return }
        let generation = sandbox.machine.withLock { $0.status.checkpointGeneration }
        do {
            // First the image: once the guest goes on, it must never be restored.
            do {
                try await storage.discardCheckpoints(of: sandbox.id, through: generation)
            } catch {
                // Parts of an image are of no use to anybody, and no reason to give up a guest that lives.
                if mayHaveImage { throw error }
                logger.warning("Parts of a checkpoint were not removed", metadata: log(sandbox, error))
                discardCheckpointsLater(sandbox)
            }
            Step.turnBackDiscarded.passed()
            try await incarnation.execution.resume()
            Step.turnBackResumed.passed()
            try await incarnation.session.ping(deadline: configuration.guestDeadline)
            if suspension.fromPaused { try await incarnation.execution.pause() }
        } catch {
            logger.warning("A sandbox did not survive a standby that failed", metadata: log(sandbox, error))
            guard sandbox.machine.withLock({ $0.giveUp(transition) }) else { return }
            let loss = SandboxMachine.Loss.execution(ExecutionEnd(code: nil, detail: "a checkpoint failed"))
            do {
                try await lose(sandbox, transition, incarnation.id, loss)
            } catch {
                logger.error("A sandbox could not be stopped", metadata: log(sandbox, error))
            }
            return
        }
        await recordIfPossible(sandbox, transition, suspension.fromPaused ? .paused : .running) { $0.checkpoint = nil }
        Step.turnBackRecorded.passed()
        settle(sandbox, transition, to: suspension.fromPaused ? .paused(incarnation) : .running(incarnation))
        sweepLater()
    }

    // MARK: Pauses in RAM

    /// One commit, before the effect: what the record says is what a later server makes true.
    func pause(_ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation) async throws {
        do {
            try await record(sandbox, transition, .paused, events: [event("sandbox.paused", sandbox)])
            try Step.pauseRecorded.reached()
            try await incarnation.execution.pause()
        } catch {
            guard isCurrent(transition, sandbox) else { throw error }
            await recordIfPossible(
                sandbox, transition, .running, events: [event("sandbox.running", sandbox, ["from": "paused"])])
            settle(sandbox, transition, to: .running(incarnation))
            throw error
        }
        Step.pauseDone.passed()
        settle(sandbox, transition, to: .paused(incarnation))
    }

    /// The way back from ``pause(_:_:_:)``.
    func unpause(_ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation) async throws {
        do {
            try await record(
                sandbox, transition, .running, events: [event("sandbox.running", sandbox, ["from": "paused"])])
            try Step.unpauseRecorded.reached()
            try await incarnation.execution.resume()
        } catch {
            guard isCurrent(transition, sandbox) else { throw error }
            await recordIfPossible(sandbox, transition, .paused, events: [event("sandbox.paused", sandbox)])
            settle(sandbox, transition, to: .paused(incarnation))
            throw error
        }
        Step.unpauseDone.passed()
        settle(sandbox, transition, to: .running(incarnation))
    }
}

/// Why a checkpoint would fail, as an error that lists the reasons.
struct CheckpointBlocked: Error {
    var blockers: [String]

    init(_ blockers: [String]) { self.blockers = blockers }

    var error: SandboxError {
        let shown = blockers.prefix(5).joined(separator: "; ") + (blockers.count > 5 ? "; …" : "")
        return SandboxError(
            .checkpointBlocked, "The memory cannot be written to disk now: \(shown).",
            hint: "end these processes or let them close these files, then try again", cause: self)
    }
}

extension SandboxError {
    /// A request came before a standby was past its point of no return.
    static let calledOff = SandboxError(.cancelled, "The standby was called off by a request.", hint: "try again")
}

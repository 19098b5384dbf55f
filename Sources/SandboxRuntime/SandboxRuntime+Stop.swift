internal import Faults
internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// The transitions that end in `stopped` or in nothing.
extension SandboxRuntime {
    /// Ends the processes as gently as they let it, keeps the files and drops the memory.
    func stop(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation?, wasPaused: Bool
    ) async throws {
        do {
            // Whoever finishes it tells what is in the record, so nothing of before may be left in it.
            try await record(sandbox, transition, .stopping) { $0.problem = nil }
            try Step.stopRecorded.reached()
            if let incarnation {
                await meterLast(sandbox, incarnation)
                await shutDown(sandbox, incarnation, wasPaused: wasPaused)
            }
            try Step.stopShutDown.reached()
            try await finishStop(sandbox, transition, incarnation?.id, problem: nil, type: "sandbox.stopped", [:])
        } catch {
            if isCurrent(transition, sandbox) { await fail(sandbox, transition, .from(error)) }
            throw error
        }
    }

    /// Asks the init to end everything and waits until it has. Whatever goes wrong, the kill that follows mends.
    private func shutDown(_ sandbox: Sandbox, _ incarnation: Incarnation, wasPaused: Bool) async {
        let grace = configuration.stopGrace
        do {
            try await deadline(grace + .seconds(3)) {
                if wasPaused { try await incarnation.execution.resume() }
                try await incarnation.session.shutdown(grace: grace)
                _ = await incarnation.execution.ended()
            }
        } catch {
            logger.info("A sandbox is ended by force", metadata: log(sandbox, error))
        }
    }

    /// From here on nothing can be refused: the processes end, the memory goes, the files stay.
    func finishStop(
        _ sandbox: Sandbox, _ transition: Transition, _ execution: ExecutionID?, problem: ProblemResource?,
        type: String,
        _ detail: [String: String]
    ) async throws {
        let status = sandbox.machine.withLock { $0.status }
        if let execution = execution ?? status.execution { try await destroy(execution, of: sandbox) }
        try Step.stopEnded.reached()
        try await storage.discardCheckpoints(of: sandbox.id, through: status.checkpointGeneration)
        try Step.stopMemoryDropped.reached()
        try await record(sandbox, transition, .stopped, events: [event(type, sandbox, detail)]) { status in
            status.execution = nil
            status.boot = ""
            status.checkpoint = nil
            status.problem = problem
        }
        Step.stopConfirmed.passed()
        settle(sandbox, transition, to: .stopped)
        sweepLater()
    }

    /// The processes ended by themselves. The files are intact and a request starts the sandbox again, but what was in
    /// memory is gone, and the record says so.
    func lose(
        _ sandbox: Sandbox, _ transition: Transition, _ execution: ExecutionID?, _ loss: SandboxMachine.Loss
    ) async throws {
        let (message, detail, outOfMemory) = describe(loss)
        telemetry.lost(outOfMemory: outOfMemory)
        await meterLoss(sandbox, execution)
        if outOfMemory { return try await failOutOfMemory(sandbox, transition, execution, message) }
        let problem = ProblemResource(code: .memoryLost, message: message, at: clock.now)
        do {
            // With the intent, so that a server that finishes it for this one tells it too.
            try await record(sandbox, transition, .stopping) { $0.problem = problem }
            try Step.loseRecorded.reached()
            try await finishStop(
                sandbox, transition, execution, problem: problem, type: "sandbox.memory_lost", ["reason": detail])
        } catch {
            if isCurrent(transition, sandbox) { await fail(sandbox, transition, .from(error)) }
            throw error
        }
    }

    /// The last wall was hit. The sandbox does not start again by itself as if nothing had happened: it would run into
    /// the same wall. Its files are kept, and a request starts it afresh.
    private func failOutOfMemory(
        _ sandbox: Sandbox, _ transition: Transition, _ execution: ExecutionID?, _ message: String
    ) async throws {
        telemetry.limit(.outOfMemory)
        let problem = ProblemResource(code: .oomKilled, message: message, at: clock.now)
        do {
            try await record(sandbox, transition, .stopping) { $0.problem = problem }
            let status = sandbox.machine.withLock { $0.status }
            if let execution = execution ?? status.execution { try await destroy(execution, of: sandbox) }
            try await storage.discardCheckpoints(of: sandbox.id, through: status.checkpointGeneration)
        } catch {
            if isCurrent(transition, sandbox) { await fail(sandbox, transition, .from(error)) }
            throw error
        }
        await fail(sandbox, transition, SandboxError(.oomKilled, message)) { status in
            status.execution = nil
            status.boot = ""
            status.checkpoint = nil
        }
        sweepLater()
    }

    private func describe(_ loss: SandboxMachine.Loss) -> (message: String, detail: String, outOfMemory: Bool) {
        switch loss {
        case .execution(let end) where end.outOfMemory:
            return (
                "The sandbox needed more memory than its limit and was ended as a whole. Memory was lost, files are intact.",
                "out of memory", true
            )
        case .execution(let end):
            let code = end.code.map { " with \($0)" } ?? ""
            let detail = end.detail.isEmpty ? "ended\(code)" : end.detail
            return ("The sandbox ended unexpectedly\(code). Memory was lost, files are intact.", detail, false)
        case .session(let error):
            return ("The sandbox's init was lost. Memory was lost, files are intact.", error.message, false)
        }
    }

    /// The session broke while the processes run: once it is opened again; if that fails, the sandbox is lost.
    func recover(_ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation) async throws {
        do {
            await incarnation.session.close()
            let execution = try await insisting(sandbox, transition) {
                try Step.recoverClosed.reached()
                let execution = try await self.driver(of: sandbox).reattach(incarnation.id)
                try Step.recoverReattached.reached()
                return execution
            }
            guard isCurrent(transition, sandbox) else { throw SandboxError.overtaken }
            let again = Incarnation(execution: execution)
            settle(sandbox, transition, to: .running(again))
            watch(sandbox, again)
        } catch {
            logger.warning("A session could not be opened again", metadata: log(sandbox, error))
            guard sandbox.machine.withLock({ $0.giveUp(transition) }) else { throw error }
            try await lose(sandbox, transition, incarnation.id, .session(.from(error)))
            throw error
        }
    }

    /// Overtakes whatever is under way: ends its execution, which makes it fail, waits for it, and removes everything.
    func delete(
        _ sandbox: Sandbox, _ transition: Transition, _ incarnation: Incarnation?, overtaken: Transition?
    ) async throws {
        overtaken?.withdraw(.overtaken)
        do {
            try await record(sandbox, transition, .stopping) { $0.deleting = true }
            try Step.deleteRecorded.reached()
            if let incarnation {
                await meterLast(sandbox, incarnation)
                await incarnation.session.close()
            }
            let recorded = sandbox.machine.withLock { $0.status.execution }
            let executions = Set([incarnation?.id, overtaken?.execution, recorded].compactMap { $0 })
            for execution in executions { try await destroy(execution, of: sandbox) }
            try Step.deleteEnded.reached()
            if let overtaken {
                try? await deadline(.seconds(60)) { try await overtaken.wait() }
                // It may have made something between the first end and its own.
                for execution in executions { try await destroy(execution, of: sandbox) }
                try Step.deleteOvertook.reached()
            }
            try await storage.trashSandbox(sandbox.id)
            try Step.deleteTrashed.reached()
            try await store.remove(sandbox.id, events: [event("sandbox.deleted", sandbox)], durability: .device)
            feed.signal()
            Step.deleteRemoved.passed()
        } catch {
            await fail(sandbox, transition, .from(error))
            throw error
        }
        registry.remove(sandbox)
        settle(sandbox, transition, to: .gone)
        sweepLater()
    }
}

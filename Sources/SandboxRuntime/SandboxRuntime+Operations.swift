internal import Isolation
internal import Logging
internal import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization

// How transitions are carried out, recorded and ended.
extension SandboxRuntime {
    /// Hands a transition over to the runner.
    func begin(_ work: SandboxMachine.Work, on sandbox: Sandbox) {
        if !operations.submit({ await self.perform(work, on: sandbox) }) { work.transition.finish(.failure(.stopping)) }
    }

    private func perform(_ work: SandboxMachine.Work, on sandbox: Sandbox) async {
        await perform(work.transition, on: sandbox) { try await self.carryOut(work, on: sandbox) }
    }

    /// Runs a transition's work, then tells everybody who waits for it.
    func perform(_ transition: Transition, on sandbox: Sandbox, _ body: () async throws -> Void) async {
        let began = clock.moment
        let outcome: Result<Void, SandboxError>
        do {
            try await body()
            outcome = .success(())
        } catch {
            outcome = .failure(.from(error))
        }
        let seconds = clock.moment.seconds(since: began)
        telemetry.transition(transition.kind, seconds: seconds, outcome: outcome)
        var context: Logger.Metadata = [
            "sandbox": "\(sandbox.id)", "transition": "\(transition.kind.rawValue)",
            "milliseconds": "\(Int(seconds * 1000))",
        ]
        switch outcome {
        case .success: logger.info("Transition done", metadata: context)
        case .failure(let error):
            context["error"] = "\(error)"
            logger.log(
                level: Self.expected.contains(error.code) ? .info : .warning, "Transition failed", metadata: context)
        }
        transition.finish(outcome)
    }

    /// Errors that say more about the request or the moment than about the server.
    private static let expected: Set<SandboxError.Code> = [.checkpointBlocked, .overloaded, .cancelled]

    private func carryOut(_ work: SandboxMachine.Work, on sandbox: Sandbox) async throws {
        let transition = work.transition
        switch work.step {
        case .pause(let incarnation): try await pause(sandbox, transition, incarnation)
        case .unpause(let incarnation): try await unpause(sandbox, transition, incarnation)
        case .recover(let incarnation): try await recover(sandbox, transition, incarnation)
        case .standby(let incarnation, let suspension): try await standby(sandbox, transition, incarnation, suspension)
        case .wake: try await wake(sandbox, transition)
        case .start: try await restart(sandbox, transition)
        case .stop(let incarnation, let wasPaused):
            try await stop(sandbox, transition, incarnation, wasPaused: wasPaused)
        case .lose(let incarnation, let loss): try await lose(sandbox, transition, incarnation.id, loss)
        case .delete(let incarnation, let overtaken):
            try await delete(sandbox, transition, incarnation, overtaken: overtaken)
        }
    }

    // MARK: Records

    func event(_ type: String, _ sandbox: Sandbox, _ detail: [String: String] = [:]) -> EventDraft {
        EventDraft(at: clock.now, sandbox: sandbox.id, name: sandbox.name, type: type, detail: detail)
    }

    /// Records a step of a transition: before its effect where it is an intent, after it where it confirms one.
    ///
    /// - Throws: ``SandboxError`` with `invalid_state` if the transition was overtaken by a deletion, `store_failed`.
    func record(
        _ sandbox: Sandbox, _ transition: Transition, _ state: SandboxState, events: [EventDraft] = [],
        durability: Durability = .process, initLayer: String? = nil,
        _ change: (inout SandboxRecord.Status) -> Void = { _ in }
    ) async throws {
        let (now, moment) = (clock.now, clock.moment)
        let status: SandboxRecord.Status? = sandbox.machine.withLock { machine in
            guard machine.isCurrent(transition) else { return nil }
            var status = machine.status
            if machine.incarnation != nil {
                let age = moment.seconds(since: machine.idle.lastActivityEnd)
                status.lastActiveAt = max(status.lastActiveAt, now.adding(seconds: -age))
            }
            if status.state != state { status.changedAt = now }
            status.state = state
            change(&status)
            return status
        }
        guard let status else { throw SandboxError.overtaken }
        let stored = try await store.setStatus(
            status, initLayer: initLayer, of: sandbox.id, events: events, durability: durability)
        guard stored else { throw SandboxError.overtaken }
        sandbox.machine.withLock { machine in
            machine.confirm(status, by: transition, now: moment)
            if let initLayer { machine.initLayer = initLayer }
        }
        if !events.isEmpty { feed.signal() }
    }

    /// Like ``record(_:_:_:events:durability:initLayer:_:)`` for the way back of something that failed: the error that
    /// counts is the first one. What the store then says too little of, the next start of the server finds out.
    func recordIfPossible(
        _ sandbox: Sandbox, _ transition: Transition, _ state: SandboxState, events: [EventDraft] = [],
        durability: Durability = .process, _ change: (inout SandboxRecord.Status) -> Void = { _ in }
    ) async {
        do {
            try await record(sandbox, transition, state, events: events, durability: durability, change)
        } catch {
            logger.error("A state could not be recorded", metadata: log(sandbox, error))
        }
    }

    /// Ends a transition's phase and begins what has to follow.
    func settle(_ sandbox: Sandbox, _ transition: Transition, to rest: SandboxMachine.Rest) {
        let now = clock.moment
        if case .running(let incarnation) = rest, transition.begins {
            // What it uses is counted from here, whatever the time of day does until its first reading.
            sandbox.lastMetered.withLock { $0 = (incarnation.id, now) }
        }
        var freed = false
        let next = sandbox.machine.withLock { machine in
            guard machine.isCurrent(transition) else { return nil as SandboxMachine.Work? }
            let next = machine.finish(transition, to: rest, now: now)
            // In the same lock as the phase, so that the two never disagree.
            switch rest {
            case .running, .paused: admission.hold(sandbox.id, Demand(sandbox.limits))
            case .standby, .stopped, .failed, .gone:
                admission.release(sandbox.id)
                freed = true
            }
            return next
        }
        if let next { begin(next, on: sandbox) }
        if freed { makeRoom() }
    }

    func isCurrent(_ transition: Transition, _ sandbox: Sandbox) -> Bool {
        sandbox.machine.withLock { $0.isCurrent(transition) }
    }

    func driver(of sandbox: Sandbox) throws -> any IsolationDriver {
        guard let driver = drivers[sandbox.tier] else {
            throw SandboxError(
                .unsupported, "The sandbox needs the tier \(sandbox.tier), which this server does not have.",
                hint: "see `nightjar doctor`")
        }
        return driver
    }

    /// Ends an execution, trying more than once: as long as it is there, its files must not be used by another.
    func destroy(_ id: ExecutionID, of sandbox: Sandbox) async throws {
        let driver = try driver(of: sandbox)
        for attempt in 1...3 {
            do {
                return try await driver.destroy(id)
            } catch {
                logger.warning("An execution could not be ended", metadata: log(sandbox, error))
                if attempt == 3 { throw error }
                try? await Task.sleep(for: .milliseconds(200 * attempt))
            }
        }
    }

    /// Removes what lies in the trash, later.
    func sweepLater() {
        _ = operations.submit {
            do {
                try await self.storage.sweepTrash()
            } catch {
                self.logger.warning("The trash could not be emptied", metadata: ["error": "\(error)"])
            }
        }
    }

    func log(_ sandbox: Sandbox, _ error: any Error) -> Logger.Metadata {
        ["sandbox": "\(sandbox.id)", "error": "\(error)"]
    }
}

/// Runs `body`, which must heed cancellation, for at most `limit`.
///
/// - Throws: What `body` throws, or ``SandboxError`` with `deadline_exceeded`.
func deadline<R: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async throws -> R) async throws -> R {
    try await withThrowingTaskGroup(of: R?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else {
            throw SandboxError(.deadlineExceeded, "The sandbox did not answer in time.", hint: "try again")
        }
        return result
    }
}

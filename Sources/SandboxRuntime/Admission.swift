internal import SandboxModel
internal import Synchronization

/// Lets starts in as the ``AdmissionQueue`` says. It knows no sandboxes: who makes room is the runtime's business.
final class Admission: Sendable {
    private struct State {
        var queue: AdmissionQueue
        var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var ticket: UInt64 = 0
        /// Why nobody is let in any more.
        var closed: SandboxError?
        /// Whether somebody is letting in just now, and whether it is to look again afterwards.
        var busy = false
        var again = false
    }

    private let state: Mutex<State>
    let policy: AdmissionPolicy

    init(policy: AdmissionPolicy) {
        self.policy = policy
        state = Mutex(State(queue: AdmissionQueue(policy: policy)))
    }

    var queue: AdmissionQueue { state.withLock { $0.queue } }

    var hasWaiters: Bool { state.withLock { $0.queue.waiting > 0 } }

    // MARK: What sandboxes hold

    func hold(_ sandbox: SandboxID, _ demand: Demand) { state.withLock { $0.queue.hold(sandbox, demand) } }

    func release(_ sandbox: SandboxID) { state.withLock { _ = $0.queue.release(sandbox) } }

    func started(_ sandbox: SandboxID) { state.withLock { $0.queue.started(sandbox) } }

    func leave(_ sandbox: SandboxID) -> Bool { state.withLock { $0.queue.leave(sandbox) } }

    func left(_ sandbox: SandboxID) { state.withLock { $0.queue.left(sandbox) } }

    // MARK: Waiting

    /// What somebody asks for who wants to start.
    struct Request: Sendable {
        var sandbox: SandboxID
        var group: String
        var demand: Demand
        var growth: Int64
        var since: Moment
    }

    /// Waits until the request is let in. The caller must then report ``started(_:)``.
    ///
    /// - Parameter enqueued: Called once the request is in line; lets in whom it can.
    /// - Throws: ``SandboxError`` with `overloaded` if there is no room in time, `unsupported` if there can never be, and
    ///   what the transition was withdrawn with.
    func enter(_ request: Request, _ transition: Transition, _ enqueued: @escaping @Sendable () -> Void) async throws {
        let id = state.withLock { state in
            state.ticket += 1
            return state.ticket
        }
        let limit = transition.patience ?? policy.timeout
        let ticket = AdmissionQueue.Ticket(
            id: id, sandbox: request.sandbox, group: request.group, demand: request.demand, growth: request.growth,
            since: request.since, deadline: request.since.advanced(by: limit))
        defer { transition.whenWithdrawn(nil) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                if let refusal = join(ticket, continuation) { return continuation.resume(throwing: refusal) }
                transition.whenWithdrawn { [self] in refuse(id, $0) }
                enqueued()
                // Whoever wants to wait no time at all is let in now or not at all.
                if limit <= .zero { refuse(id, .noRoom) }
            }
        } onCancel: {
            refuse(id, .requestCancelled)
        }
    }

    private func join(
        _ ticket: AdmissionQueue.Ticket, _ continuation: CheckedContinuation<Void, any Error>
    ) -> SandboxError? {
        let (refusal, displaced) = state.withLock { state -> (SandboxError?, CheckedContinuation<Void, any Error>?) in
            if let closed = state.closed { return (closed, nil) }
            if Task.isCancelled { return (.requestCancelled, nil) }
            do throws(SandboxError) {
                let displaced = try state.queue.enter(ticket)
                state.waiters[ticket.id] = continuation
                return (nil, displaced.flatMap { state.waiters.removeValue(forKey: $0.id) })
            } catch {
                return (error, nil)
            }
        }
        displaced?.resume(throwing: SandboxError.queueFull)
        return refusal
    }

    /// Takes somebody out of the line who is still in it.
    private func refuse(_ id: UInt64, _ error: SandboxError) {
        let waiter = state.withLock { state in
            _ = state.queue.remove(id)
            return state.waiters.removeValue(forKey: id)
        }
        waiter?.resume(throwing: error)
    }

    /// Refuses what can never fit, before anything is made.
    func check(_ demand: Demand) throws(SandboxError) {
        let (queue, closed) = state.withLock { ($0.queue, $0.closed) }
        if let closed { throw closed }
        try queue.check(demand)
    }

    // MARK: Letting in

    /// Begins a round of letting in. Only one is under way at a time; others ask for another one after it.
    func beginRound() -> Bool {
        state.withLock { state in
            state.again = state.busy
            guard !state.busy else { return false }
            state.busy = true
            return true
        }
    }

    /// - Returns: Whether somebody asked for another round meanwhile.
    func endRound() -> Bool {
        state.withLock { state in
            defer { state.again = false }
            if !state.again { state.busy = false }
            return state.again
        }
    }

    /// Lets in whom it can.
    ///
    /// - Returns: What the next ones lack.
    func grant() -> AdmissionQueue.Shortfall? {
        guard hasWaiters else { return nil }
        let available = policy.availableMemory()
        let (granted, shortfall) = state.withLock { state in
            let granted = state.queue.grant(available: available).compactMap { ticket in
                state.waiters.removeValue(forKey: ticket.id)
            }
            return (granted, state.queue.shortfall(available: available))
        }
        for waiter in granted { waiter.resume() }
        return shortfall
    }

    /// Refuses those whose time is over.
    func expire(_ now: Moment) {
        let late = state.withLock { state in
            state.queue.expired(now).compactMap { ticket in state.waiters.removeValue(forKey: ticket.id) }
        }
        for waiter in late { waiter.resume(throwing: SandboxError.noRoom) }
    }

    /// Refuses everybody from now on.
    func close(_ error: SandboxError) {
        let waiters = state.withLock { state in
            state.closed = error
            _ = state.queue.clear()
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(throwing: error) }
    }
}

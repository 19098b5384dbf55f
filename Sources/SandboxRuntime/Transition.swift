internal import SandboxModel
internal import Synchronization

/// A change of state that is under way. Whoever asks for the same change joins it by waiting for its outcome.
final class Transition: Sendable {
    enum Kind: String, Sendable {
        case create, adopt, pause, unpause, recover, standby, wake, start, stop, lose, delete
    }

    private enum State {
        case running(waiters: [UInt64: CheckedContinuation<Void, any Error>])
        case over(Result<Void, SandboxError>)
    }

    let kind: Kind
    /// The incarnation that it begins, if it begins one.
    let execution: ExecutionID?
    private let state = Mutex(State.running(waiters: [:]))
    private let tickets = Atomic<UInt64>(0)

    init(_ kind: Kind, beginning execution: ExecutionID? = nil) {
        self.kind = kind
        self.execution = execution
    }

    /// Ends it. Only the first call counts.
    func finish(_ outcome: Result<Void, SandboxError>) {
        let waiters: [CheckedContinuation<Void, any Error>] = state.withLock { state in
            guard case .running(let waiters) = state else { return [] }
            state = .over(outcome)
            return Array(waiters.values)
        }
        for waiter in waiters { waiter.resume(with: outcome.mapError { $0 }) }
    }

    /// Waits for the end. Cancelling the caller ends only its wait.
    ///
    /// - Throws: The error that the transition ended with, or ``SandboxError`` with `cancelled`.
    func wait() async throws {
        let ticket = tickets.wrappingAdd(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    switch state {
                    case .over(let outcome): return outcome.mapError { $0 }
                    case .running(var waiters):
                        if Task.isCancelled { return .failure(SandboxError.requestCancelled) }
                        waiters[ticket] = continuation
                        state = .running(waiters: waiters)
                        return nil
                    }
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter: CheckedContinuation<Void, any Error>? = state.withLock { state in
                guard case .running(var waiters) = state else { return nil }
                let waiter = waiters.removeValue(forKey: ticket)
                state = .running(waiters: waiters)
                return waiter
            }
            waiter?.resume(throwing: SandboxError.requestCancelled)
        }
    }
}

extension SandboxError {
    static let requestCancelled = SandboxError(.cancelled, "The request was cancelled.")

    /// The transition was overtaken by a deletion.
    static let overtaken = SandboxError(.invalidState, "The sandbox is being deleted.")

    static func notFound(_ reference: String) -> SandboxError {
        SandboxError(.sandboxNotFound, "There is no sandbox \(reference).", hint: "list them with `nightjar ls`")
    }

    /// Any error as the one type that crosses modules.
    static func from(_ error: any Error) -> SandboxError {
        if let error = error as? SandboxError { return error }
        if error is CancellationError { return .requestCancelled }
        return SandboxError(.internalError, "Something went wrong in the server.", hint: "see its log", cause: error)
    }
}

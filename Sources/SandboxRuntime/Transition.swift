internal import SandboxModel
internal import Synchronization

/// A change of state that is under way. Whoever asks for the same change joins it by waiting for its outcome.
final class Transition: Sendable {
    enum Kind: String, Sendable {
        case create, adopt, pause, unpause, recover, standby, wake, start, stop, lose, delete
    }

    private struct State {
        var outcome: Result<Void, SandboxError>?
        var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        /// Why it is not to begin any more, as long as it has not begun.
        var withdrawn: SandboxError?
        /// Called once, when it is withdrawn while it waits for its turn.
        var whenWithdrawn: (@Sendable (SandboxError) -> Void)?
        var patience: Duration?
    }

    let kind: Kind
    /// The incarnation that it begins, if it begins one.
    let execution: ExecutionID?
    private let state = Mutex(State())
    private let tickets = Atomic<UInt64>(0)

    init(_ kind: Kind, beginning execution: ExecutionID? = nil) {
        self.kind = kind
        self.execution = execution
    }

    /// How long it may wait for room on the node; `nil`: as long as the node's policy says.
    var patience: Duration? {
        get { state.withLock { $0.patience } }
        set { state.withLock { $0.patience = newValue } }
    }

    /// Whether it makes processes, and so needs room.
    var begins: Bool { execution != nil }

    /// Ends it. Only the first call counts.
    func finish(_ outcome: Result<Void, SandboxError>) {
        let waiters: [CheckedContinuation<Void, any Error>] = state.withLock { state in
            guard state.outcome == nil else { return [] }
            state.outcome = outcome
            state.whenWithdrawn = nil
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(with: outcome.mapError { $0 }) }
    }

    /// Calls it off as long as it waits for its turn; afterwards nothing happens.
    func withdraw(_ error: SandboxError) {
        let leave = state.withLock { state in
            if state.withdrawn == nil { state.withdrawn = error }
            defer { state.whenWithdrawn = nil }
            return state.whenWithdrawn
        }
        leave?(error)
    }

    /// Has `leave` called when it is withdrawn, at once if it was; `nil`: it begins, and cannot be withdrawn any more.
    func whenWithdrawn(_ leave: (@Sendable (SandboxError) -> Void)?) {
        let error: SandboxError? = state.withLock { state in
            if leave == nil || state.withdrawn == nil { state.whenWithdrawn = leave }
            return state.withdrawn
        }
        if let leave, let error { leave(error) }
    }

    /// Waits for the end. Cancelling the caller ends only its wait; but when the last one goes, a transition that has
    /// not had its turn yet is withdrawn.
    ///
    /// - Throws: The error that the transition ended with, or ``SandboxError`` with `cancelled`.
    func wait() async throws {
        let ticket = tickets.wrappingAdd(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                var isLast = false
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if let outcome = state.outcome { return outcome.mapError { $0 } }
                    if Task.isCancelled {
                        isLast = state.waiters.isEmpty
                        return .failure(SandboxError.requestCancelled)
                    }
                    state.waiters[ticket] = continuation
                    return nil
                }
                if isLast { withdraw(.abandoned) }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let (waiter, isLast) = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: ticket)
                return (waiter, waiter != nil && state.waiters.isEmpty && state.outcome == nil)
            }
            if isLast { withdraw(.abandoned) }
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

internal import Synchronization

/// Work that several callers may ask for and that is done once: who comes while it is under way waits for it, and who
/// comes after it succeeded has nothing to do. A failure is reported to all who waited; the next caller tries again.
public final class SingleFlight: Sendable {
    private enum State {
        case idle
        case running([CheckedContinuation<Bool, any Error>])
        case done
    }

    private enum Decision { case begin, wait, nothing }

    private let state = Mutex(State.idle)

    public init() {}

    /// Does the work, or waits for who does it already.
    ///
    /// - Throws: What the work threw.
    public func run(_ body: () async throws -> Void) async throws {
        let decision = state.withLock { state in
            switch state {
            case .idle:
                state = .running([])
                return Decision.begin
            case .running: return .wait
            case .done: return .nothing
            }
        }
        switch decision {
        case .nothing: return
        case .wait:
            // What ended between the decision and the wait has told its outcome to others: ask again.
            if try await !join() { try await run(body) }
        case .begin:
            do {
                try await body()
                finish(.done, .success(true))
            } catch {
                finish(.idle, .failure(error))
                throw error
            }
        }
    }

    /// - Returns: `false` if nothing is under way any more.
    private func join() async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let isOver = state.withLock { state in
                guard case .running(let waiting) = state else { return true }
                state = .running(waiting + [continuation])
                return false
            }
            if isOver { continuation.resume(returning: false) }
        }
    }

    private func finish(_ next: State, _ result: Result<Bool, any Error>) {
        let waiting = state.withLock { state in
            defer { state = next }
            if case .running(let waiting) = state { return waiting }
            return []
        }
        for continuation in waiting { continuation.resume(with: result) }
    }
}

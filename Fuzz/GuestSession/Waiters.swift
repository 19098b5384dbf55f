import Dispatch
import Synchronization

/// Continuations for code that is not asynchronous: each belongs to a task that waits to be resumed.
final class Waiters: Sendable {
    private let over = DispatchSemaphore(value: 0)
    private let count = Mutex(0)

    func make<Value: Sendable>(_: Value.Type) -> CheckedContinuation<Value, any Error> {
        let box = Mutex<CheckedContinuation<Value, any Error>?>(nil)
        let ready = DispatchSemaphore(value: 0)
        count.withLock { $0 += 1 }
        Task { [over] in
            _ = try? await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, any Error>) in
                box.withLock { $0 = continuation }
                ready.signal()
            }
            over.signal()
        }
        ready.wait()
        guard let continuation = box.withLock({ $0 }) else { preconditionFailure("no continuation") }
        return continuation
    }

    /// Nobody may be left waiting.
    func join() {
        for _ in 0..<count.withLock({ $0 }) {
            precondition(over.wait(timeout: .now() + 30) == .success, "a waiter was forgotten")
        }
    }
}

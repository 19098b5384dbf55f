internal import Synchronization

/// The one place where work outlives the request that caused it: a task group that lives as long as the runtime.
///
/// A transition belongs to the sandbox, not to whoever asked for it: it runs here, and callers wait for its outcome.
final class OperationRunner: Sendable {
    typealias Operation = @Sendable () async -> Void

    private let stream: AsyncStream<Operation>
    private let continuation: AsyncStream<Operation>.Continuation
    private let count = Mutex(0)

    init() { (stream, continuation) = AsyncStream.makeStream(of: Operation.self, bufferingPolicy: .unbounded) }

    /// How many operations wait or run.
    var pending: Int { count.withLock { $0 } }

    /// Hands an operation over.
    ///
    /// - Returns: `false` if the runner has ended; the operation then never runs.
    func submit(_ operation: @escaping Operation) -> Bool {
        count.withLock { $0 += 1 }
        if case .enqueued = continuation.yield(operation) { return true }
        count.withLock { $0 -= 1 }
        return false
    }

    /// Takes no more operations; ``run()`` returns when those that it has are done.
    func finish() { continuation.finish() }

    /// Runs what is handed over until ``finish()``, or until the task is cancelled, which cancels the operations too.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await operation in stream {
                group.addTask { [self] in
                    await operation()
                    count.withLock { $0 -= 1 }
                }
            }
            if Task.isCancelled { group.cancelAll() }
        }
    }
}

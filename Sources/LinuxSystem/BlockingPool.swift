internal import CLinux
internal import Glibc
internal import Synchronization

/// Threads for calls that block, so that they never hold up the threads of Swift's concurrency.
///
/// There are at most as many as asked for, made when they are first needed; further calls wait in line. A job that is
/// under way is not interrupted by cancellation.
public final class BlockingPool: Sendable {
    /// For short file system work. Eight at once are more than a disk makes use of.
    public static let shared = BlockingPool(threads: 8)

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var idle = 0
        var threads = 0
    }

    private let limit: Int
    private let state = Mutex(State())
    private let semaphore = Semaphore()

    public init(threads: Int) { limit = max(1, threads) }

    /// Runs `body` on a thread of the pool.
    public func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            submit { continuation.resume(with: Result { try body() }) }
        }
    }

    private func submit(_ job: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.jobs.append(job)
            guard state.jobs.count > state.idle, state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        if needsThread {
            startThread { [self] in work() }
        }
        semaphore.signal()
    }

    private func work() {
        while true {
            state.withLock { $0.idle += 1 }
            semaphore.wait()
            let job = state.withLock { state in
                state.idle -= 1
                return state.jobs.isEmpty ? nil : state.jobs.removeFirst()
            }
            job?()
        }
    }
}

/// A counting semaphore of the system.
final class Semaphore: @unchecked Sendable {
    // The kernel and libc synchronise access; the memory stays where it is.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func signal() { sem_post(semaphore) }

    func wait() {
        while sem_wait(semaphore) != 0, errno == EINTR {}
    }
}

/// Runs `body` on a new thread that takes no signals.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let box = Unmanaged.passRetained(Box(body))
    let error = nj_start_thread(
        { context in
            guard let context else { return nil }
            Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }, box.toOpaque())
    // Without threads nothing of this process can work.
    precondition(error == 0, "no thread: \(error)")
}

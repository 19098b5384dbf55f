internal import CLinux
internal import Glibc
internal import Synchronization

/// Threads for file work that may block, so that a slow disk never holds up the loop. Started when first needed.
final class WorkerPool {
    private static let maximumThreads = 4

    private let loop: EventLoop
    private let shared: Shared
    private var threads = 0
    private var busy = 0
    private var counter: UInt64 = 0
    private var continuations: [UInt64: () -> Void] = [:]

    init?(loop: EventLoop) {
        guard let shared = Shared() else { return nil }
        self.loop = loop
        self.shared = shared
        guard loop.add(shared.done, .read, { [unowned self] _ in finish() }) != nil else { return nil }
    }

    /// Runs `work` on a thread, then `then` with its result on the loop.
    func submit<Result: Sendable>(_ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void) {
        counter += 1
        let id = counter
        let outcome = Outcome<Result>()
        continuations[id] = {
            if let value = outcome.value.withLock({ $0.take() }) { then(value) }
        }
        busy += 1
        if busy > threads, threads < WorkerPool.maximumThreads, startThread() { threads += 1 }
        guard threads > 0 else {
            // Without threads the work is done here: slower for others, never lost.
            outcome.store(work())
            loop.soon { [self] in complete(id) }
            return
        }
        shared.push(.init(id: id) { outcome.store(work()) })
    }

    private func startThread() -> Bool {
        let context = Unmanaged.passRetained(shared)
        let failed = nj_start_thread(
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Shared>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if failed != 0 { context.release() }
        return failed == 0
    }

    private func finish() {
        var count: UInt64 = 0
        _ = read(shared.done, &count, 8)
        for id in shared.takeFinished() { complete(id) }
    }

    private func complete(_ id: UInt64) {
        busy -= 1
        continuations.removeValue(forKey: id)?()
    }
}

extension WorkerPool {
    fileprivate final class Outcome<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
        func store(_ new: Value) { value.withLock { $0 = new } }
    }

    fileprivate struct Job: Sendable {
        let id: UInt64
        let run: @Sendable () -> Void
    }

    /// What the threads and the loop share. `wake` is a semaphore of waiting jobs, `done` tells the loop.
    fileprivate final class Shared: Sendable {
        private let jobs = Mutex(Jobs())
        private let wake: Int32
        let done: Int32

        struct Jobs {
            var waiting = Queue<Job>()
            var finished: [UInt64] = []
        }

        init?() {
            wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE))
            done = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
            if wake < 0 || done < 0 { return nil }
        }

        func push(_ job: Job) {
            jobs.withLock { $0.waiting.append(job) }
            signal(wake)
        }

        func takeFinished() -> [UInt64] {
            jobs.withLock { jobs in
                defer { jobs.finished = [] }
                return jobs.finished
            }
        }

        func run() {
            while true {
                var count: UInt64 = 0
                guard read(wake, &count, 8) == 8 else { continue }
                guard let job = jobs.withLock({ $0.waiting.popFirst() }) else { continue }
                job.run()
                jobs.withLock { $0.finished.append(job.id) }
                signal(done)
            }
        }

        private func signal(_ descriptor: Int32) {
            var one: UInt64 = 1
            _ = write(descriptor, &one, 8)
        }
    }
}

internal import Logging
internal import Synchronization

/// Slots that were prepared ahead. It is refilled while nothing else is being started, so that it never takes CPU from
/// a start that somebody waits for.
final class SlotPool: Sendable {
    private struct State {
        var slots: [GVisorSlot] = []
        var target: Int
        /// Starts and restores under way.
        var busy = 0
        /// Attempts in a row that failed.
        var failures = 0
    }

    private let state: Mutex<State>
    private let kicks: AsyncStream<Void>
    private let kick: AsyncStream<Void>.Continuation

    init(target: Int) {
        state = Mutex(State(target: max(0, target)))
        (kicks, kick) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        kick.yield()
    }

    /// The slot that has waited longest.
    func take() -> GVisorSlot? {
        state.withLock { $0.slots.isEmpty ? nil : $0.slots.removeFirst() }
    }

    func began() { state.withLock { $0.busy += 1 } }

    func finished() {
        state.withLock { $0.busy -= 1 }
        kick.yield()
    }

    /// - Returns: The slots that are too many now; the caller removes them.
    func setTarget(_ target: Int) -> [GVisorSlot] {
        let surplus = state.withLock { state in
            state.target = target
            let surplus = Array(state.slots.dropFirst(target))
            state.slots = Array(state.slots.prefix(target))
            return surplus
        }
        kick.yield()
        return surplus
    }

    var count: Int { state.withLock { $0.slots.count } }

    /// Fills the pool whenever it may, until the task is cancelled; drops what is in it then.
    func run(
        _ logger: Logger, _ make: () async throws -> GVisorSlot, drop: (GVisorSlot) async -> Void
    ) async {
        for await _ in kicks {
            while !Task.isCancelled, state.withLock({ $0.slots.count < $0.target && $0.busy == 0 && $0.failures < 3 }) {
                do {
                    let slot = try await make()
                    state.withLock { state in
                        state.failures = 0
                        state.slots.append(slot)
                    }
                } catch {
                    if Task.isCancelled { break }
                    // The next start finds out by itself; trying on and on would only burn CPU.
                    state.withLock { $0.failures += 1 }
                    logger.warning("a sandbox slot could not be prepared", metadata: ["error": "\(error)"])
                }
            }
            state.withLock { $0.failures = 0 }
        }
        for slot in setTarget(0) { await drop(slot) }
    }
}

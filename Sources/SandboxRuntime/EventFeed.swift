internal import SandboxModel
internal import Store
internal import Synchronization

/// Tells followers that the store has new events. The events themselves are read from the store, so a slow follower
/// loses nothing, costs no memory, and gets each exactly once.
final class EventFeed: Sendable {
    private struct State {
        var version: UInt64 = 0
        var ended = false
        var ticket: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }
    private let state = Mutex(State())

    var version: UInt64 { state.withLock { $0.version } }

    /// There are new events.
    func signal() { wake { $0.version += 1 } }

    /// Ends all followers.
    func end() { wake { $0.ended = true } }

    private func wake(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when there are events newer than `version`.
    ///
    /// - Returns: `false` if the feed has ended, or the task was cancelled.
    func wait(after version: UInt64) async -> Bool {
        let ticket = state.withLock { state in
            state.ticket += 1
            return state.ticket
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state.version != version || state.ended || Task.isCancelled { return true }
                    state.waiters[ticket] = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
        }
        return !Task.isCancelled && !state.withLock { $0.ended }
    }
}

/// One follower's place in the events.
actor EventFollower {
    private let store: any SandboxStore
    private let feed: EventFeed
    private let sandbox: SandboxID?
    private var position: Int64?
    private var ready: [EventResource] = []

    init(store: any SandboxStore, feed: EventFeed, after position: Int64?, sandbox: SandboxID?) {
        self.store = store
        self.feed = feed
        self.sandbox = sandbox
        self.position = position
    }

    /// Fixes the place where it begins, if that is now.
    func prepare() async {
        guard position == nil, let latest = try? await store.latestEvent(), position == nil else { return }
        position = latest
    }

    /// The next event; `nil` when the feed ends, the task is cancelled, or the store fails.
    func next() async -> EventResource? {
        while ready.isEmpty {
            let version = feed.version
            do {
                if position == nil { position = try await store.latestEvent() }
                let events = try await store.events(after: position ?? 0, sandbox: sandbox, limit: 200)
                if let last = events.last {
                    position = last.sequence
                    ready = events.reversed()
                    continue
                }
            } catch {
                return nil
            }
            guard await feed.wait(after: version) else { return nil }
        }
        return ready.popLast()
    }
}

internal import Synchronization

/// Bounds the connections that strangers can open, and keeps room for others.
///
/// When all places are taken, a newcomer takes the place of the connection that has waited longest without ever having
/// shown a key; if all have, of the one that has been idle longest. So whoever holds thousands of connections open loses
/// them, and everybody else gets in.
public final class ConnectionTable: Sendable {
    private struct Entry {
        var cut: @Sendable () -> Void
        var isKnown = false
        var requests = 0
        /// Counts uses; the lowest was used longest ago.
        var used: UInt64
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        /// Identifiers in the order of arrival; those that are gone or known meanwhile are skipped.
        var strangers: [UInt64] = []
        var firstStranger = 0
        var next: UInt64 = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: Connections at a time, at least 1.
    public init(limit: Int) { self.limit = max(1, limit) }

    /// How many there are.
    public var count: Int { state.withLock { $0.entries.count } }

    /// Takes a place, from another connection if there is none left.
    ///
    /// - Parameter cut: Closes the connection.
    /// - Returns: The place; `nil` if all others are busy.
    func add(cut: @escaping @Sendable () -> Void) -> Place? {
        let (place, victim) = state.withLock { state -> (Place?, (@Sendable () -> Void)?) in
            var victim: (@Sendable () -> Void)?
            if state.entries.count >= limit {
                guard let id = Self.leastWanted(&state) else { return (nil, nil) }
                victim = state.entries.removeValue(forKey: id)?.cut
            }
            state.next += 1
            state.entries[state.next] = Entry(cut: cut, used: state.next)
            state.strangers.append(state.next)
            return (Place(id: state.next, table: self), victim)
        }
        victim?()
        return place
    }

    private static func leastWanted(_ state: inout State) -> UInt64? {
        while state.firstStranger < state.strangers.count {
            let id = state.strangers[state.firstStranger]
            state.firstStranger += 1
            if state.firstStranger > 4096, state.firstStranger * 2 > state.strangers.count {
                state.strangers.removeFirst(state.firstStranger)
                state.firstStranger = 0
            }
            if let entry = state.entries[id], !entry.isKnown { return id }
        }
        return state.entries.filter { $0.value.requests == 0 }.min { $0.value.used < $1.value.used }?.key
    }

    /// A connection's place in the table, until it is closed.
    struct Place: Sendable {
        fileprivate let id: UInt64
        fileprivate let table: ConnectionTable

        /// A request came, or a WebSocket began.
        func begin() { change { $0.requests += 1 } }
        /// It has ended.
        func end() { change { $0.requests -= 1 } }
        /// A good key was shown.
        func know() { change { $0.isKnown = true } }
        func leave() { table.state.withLock { _ = $0.entries.removeValue(forKey: id) } }

        private func change(_ body: (inout Entry) -> Void) {
            table.state.withLock { state in
                state.next += 1
                let now = state.next
                guard var entry = state.entries[id] else { return }
                body(&entry)
                entry.used = now
                state.entries[id] = entry
            }
        }
    }
}

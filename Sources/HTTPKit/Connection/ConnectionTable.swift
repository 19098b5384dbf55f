internal import Synchronization

/// Bounds the connections that strangers can open, and keeps room for others.
///
/// When all places are taken, a newcomer takes the place of a connection of whoever holds the most: the one that has been
/// idle longest. Those that never showed a key count as one holder; of them, the one that came first goes, whatever it
/// does. So whoever holds thousands of connections open loses them, and everybody else gets in and stays.
public final class ConnectionTable: Sendable {
    private struct Entry {
        var cut: @Sendable () -> Void
        /// `nil`: a stranger's.
        var holder: String?
        var requests = 0
        /// Neighbours in the holder's list.
        var before: UInt64?
        var after: UInt64?
    }

    /// Connections of one holder: how many, and a list of those that may be taken, the first to be taken first.
    private struct Holder {
        var count = 0
        var first: UInt64?
        var last: UInt64?
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var holders: [String?: Holder] = [:]
        var next: UInt64 = 0

        mutating func append(_ id: UInt64, of holder: String?) {
            let last = holders[holder, default: Holder()].last
            if let last { entries[last]?.after = id } else { holders[holder]?.first = id }
            holders[holder]?.last = id
            entries[id]?.before = last
            entries[id]?.after = nil
        }

        mutating func unlink(_ id: UInt64) {
            guard let entry = entries[id], let holder = holders[entry.holder],
                entry.before != nil || holder.first == id
            else { return }
            if let before = entry.before {
                entries[before]?.after = entry.after
            } else {
                holders[entry.holder]?.first = entry.after
            }
            if let after = entry.after {
                entries[after]?.before = entry.before
            } else {
                holders[entry.holder]?.last = entry.before
            }
            entries[id]?.before = nil
            entries[id]?.after = nil
        }

        mutating func count(_ holder: String?, by change: Int) {
            holders[holder, default: Holder()].count += change
            if holders[holder]?.count == 0 { holders[holder] = nil }
        }

        mutating func remove(_ id: UInt64) -> Entry? {
            unlink(id)
            guard let entry = entries.removeValue(forKey: id) else { return nil }
            count(entry.holder, by: -1)
            return entry
        }

        /// Who holds the most, strangers before others with as many.
        var leastWanted: UInt64? {
            holders.filter { $0.value.first != nil }
                .max { ($0.value.count, $0.key == nil ? 1 : 0) < ($1.value.count, $1.key == nil ? 1 : 0) }?.value.first
        }
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
                guard let id = state.leastWanted else { return (nil, nil) }
                victim = state.remove(id)?.cut
            }
            state.next += 1
            state.entries[state.next] = Entry(cut: cut)
            state.count(nil, by: 1)
            state.append(state.next, of: nil)
            return (Place(id: state.next, table: self), victim)
        }
        victim?()
        return place
    }

    /// A connection's place in the table, until it is closed.
    struct Place: Sendable {
        fileprivate let id: UInt64
        fileprivate let table: ConnectionTable

        /// A request came, or a WebSocket began.
        func begin() {
            table.state.withLock { state in
                state.entries[id]?.requests += 1
                if state.entries[id]?.holder != nil { state.unlink(id) }
            }
        }

        /// It has ended.
        func end() {
            table.state.withLock { state in
                state.entries[id]?.requests -= 1
                guard let entry = state.entries[id], let holder = entry.holder, entry.requests == 0 else { return }
                state.append(id, of: holder)
            }
        }

        /// A good key was shown, during a request.
        ///
        /// - Parameter holder: Whose.
        func know(_ holder: String) {
            table.state.withLock { state in
                guard let entry = state.entries[id], entry.holder != holder else { return }
                state.unlink(id)
                state.count(entry.holder, by: -1)
                state.entries[id]?.holder = holder
                state.count(holder, by: 1)
                if entry.requests == 0 { state.append(id, of: holder) }
            }
        }

        func leave() { table.state.withLock { _ = $0.remove(id) } }
    }
}

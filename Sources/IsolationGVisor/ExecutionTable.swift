internal import Isolation
internal import SandboxModel
internal import Synchronization

/// Which executions this server knows, and how far they are.
///
/// An entry's life: reserved (no slot yet) → bound (has a slot, is starting) → confirmed → removed. A destroy dooms it
/// at any point: the start then fails at its next step and cleans up.
final class ExecutionTable: Sendable {
    private struct Entry {
        var slot: GVisorSlot?
        var isDoomed = false
        /// Who waits for the entry to be removed.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    enum Doomed {
        case bound(GVisorSlot)
        case reserved
        case unknown
    }

    private let entries = Mutex<[ExecutionID: Entry]>([:])

    /// - Throws: ``SandboxError`` with `invalid_state` if the execution exists.
    func reserve(_ id: ExecutionID) throws {
        try entries.withLock { entries in
            guard entries[id] == nil else { throw SandboxError(.invalidState, "The execution exists already.") }
            entries[id] = Entry()
        }
    }

    /// Takes an execution that is there already, or whose processes outlived a former server.
    ///
    /// - Returns: Whether it was not known.
    /// - Throws: ``SandboxError`` with `invalid_state` if it still starts, `cancelled` if it is being destroyed.
    func adopt(_ id: ExecutionID) throws -> Bool {
        try entries.withLock { entries in
            guard let entry = entries[id] else {
                entries[id] = Entry()
                return true
            }
            guard !entry.isDoomed else { throw Self.destroyed }
            guard entry.slot != nil else { throw SandboxError(.invalidState, "The execution still starts.") }
            return false
        }
    }

    /// - Throws: ``SandboxError`` with `cancelled` if it was destroyed meanwhile.
    func bind(_ id: ExecutionID, to slot: GVisorSlot) throws {
        try entries.withLock { entries in
            guard let entry = entries[id], !entry.isDoomed else { throw Self.destroyed }
            entries[id]?.slot = slot
        }
    }

    func confirm(_ id: ExecutionID) throws {
        try entries.withLock { entries in
            guard let entry = entries[id], !entry.isDoomed else { throw Self.destroyed }
        }
    }

    /// Decides what a destroy has to do.
    func doom(_ id: ExecutionID) -> Doomed {
        entries.withLock { entries in
            guard let entry = entries[id] else { return .unknown }
            entries[id]?.isDoomed = true
            return entry.slot.map(Doomed.bound) ?? .reserved
        }
    }

    func remove(_ id: ExecutionID) {
        let waiting = entries.withLock { $0.removeValue(forKey: id)?.waiting ?? [] }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when there is no such entry.
    func gone(_ id: ExecutionID) async {
        await withCheckedContinuation { continuation in
            let isGone = entries.withLock { entries in
                guard entries[id] != nil else { return true }
                entries[id]?.waiting.append(continuation)
                return false
            }
            if isGone { continuation.resume() }
        }
    }

    private static var destroyed: SandboxError {
        SandboxError(.cancelled, "The sandbox was destroyed while it started.")
    }
}

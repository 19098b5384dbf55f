public import SandboxModel
internal import Synchronization

/// Which executions of a driver this server knows, and how far they are.
///
/// An entry's life: reserved (no slot yet) → bound (has a slot, is starting) → confirmed → removed. A destroy dooms it
/// at any point: the start then fails at its next step and cleans up.
public final class ExecutionTable<Slot: Sendable>: Sendable {
    private struct Entry {
        var slot: Slot?
        var isDoomed = false
        /// Who waits for the entry to be removed.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private enum Doomed {
        case bound(Slot)
        case reserved
        case unknown
    }

    private let entries: Mutex<[ExecutionID: Entry]> = Mutex([:])

    public init() {}

    /// - Throws: ``SandboxError`` with `invalid_state` if the execution exists.
    public func reserve(_ id: ExecutionID) throws {
        try entries.withLock { entries in
            guard entries[id] == nil else { throw SandboxError(.invalidState, "The execution exists already.") }
            entries[id] = Entry()
        }
    }

    /// Takes an execution that is there already, or whose processes outlived a former server.
    ///
    /// - Returns: Whether it was not known.
    /// - Throws: ``SandboxError`` with `invalid_state` if it still starts, `cancelled` if it is being destroyed.
    public func adopt(_ id: ExecutionID) throws -> Bool {
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
    public func bind(_ id: ExecutionID, to slot: Slot) throws {
        try entries.withLock { entries in
            guard let entry = entries[id], !entry.isDoomed else { throw Self.destroyed }
            entries[id]?.slot = slot
        }
    }

    public func confirm(_ id: ExecutionID) throws {
        try entries.withLock { entries in
            guard let entry = entries[id], !entry.isDoomed else { throw Self.destroyed }
        }
    }

    /// Decides what a destroy has to do.
    private func doom(_ id: ExecutionID) -> Doomed {
        entries.withLock { entries in
            guard let entry = entries[id] else { return .unknown }
            entries[id]?.isDoomed = true
            return entry.slot.map { Doomed.bound($0) } ?? .reserved
        }
    }

    /// Ends an execution, however far it is.
    ///
    /// - Parameters:
    ///   - remove: Ends a slot and removes all of it.
    ///   - recorded: Slots of an execution that a former server made.
    public func destroy(
        _ id: ExecutionID, remove removeSlot: (Slot) async throws -> Void, recorded: () async throws -> [Slot]
    ) async throws {
        switch doom(id) {
        case .bound(let slot):
            try await removeSlot(slot)
            remove(id)
        case .reserved: await gone(id)
        case .unknown:
            for slot in try await recorded() { try await removeSlot(slot) }
        }
    }

    /// Forgets an execution, and tells who waits for that.
    public func remove(_ id: ExecutionID) {
        let waiting = entries.withLock { $0.removeValue(forKey: id)?.waiting ?? [] }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when there is no such entry.
    private func gone(_ id: ExecutionID) async {
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

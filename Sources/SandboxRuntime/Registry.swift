internal import SandboxModel
internal import Synchronization

/// All sandboxes of this server, by id and name.
final class Registry: Sendable {
    private struct State {
        var loaded = false
        var byID: [SandboxID: Sandbox] = [:]
        var byName: [String: Sandbox] = [:]
        /// Creations under way, by idempotency key.
        var keys: [String: PendingKey] = [:]
    }

    /// A creation under way that was asked for with an idempotency key.
    struct PendingKey: Sendable {
        var fingerprint: String
        var transition: Transition
        var sandbox: SandboxID
    }

    private let state = Mutex(State())

    /// Takes over what the store holds. Until then every lookup is refused as not yet possible.
    func load(_ sandboxes: [Sandbox]) {
        state.withLock { state in
            for sandbox in sandboxes { Self.add(sandbox, to: &state) }
            state.loaded = true
        }
    }

    var isLoaded: Bool { state.withLock { $0.loaded } }

    var all: [Sandbox] { state.withLock { Array($0.byID.values) } }

    subscript(_ id: SandboxID) -> Sandbox? { state.withLock { $0.byID[id] } }

    /// - Parameter reference: An id or a name.
    func find(_ reference: String) throws -> Sandbox {
        try state.withLock { state in
            if let id = SandboxID(reference), let sandbox = state.byID[id] { return sandbox }
            if let sandbox = state.byName[reference] { return sandbox }
            guard state.loaded else { throw SandboxError.starting }
            throw SandboxError.notFound(reference)
        }
    }

    func add(_ sandbox: Sandbox) throws {
        try state.withLock { state in
            guard state.loaded else { throw SandboxError.starting }
            if let name = sandbox.name, state.byName[name] != nil {
                throw SandboxError(
                    .nameTaken, "A sandbox named \(name) exists.", hint: "choose another name, or delete it first")
            }
            Self.add(sandbox, to: &state)
        }
    }

    func remove(_ sandbox: Sandbox) {
        state.withLock { state in
            state.byID[sandbox.id] = nil
            if let name = sandbox.name, state.byName[name] === sandbox { state.byName[name] = nil }
        }
    }

    /// Claims an idempotency key for a creation.
    ///
    /// - Returns: The creation that has it already, or `nil` if it is now this one's.
    func claim(_ key: String, _ pending: PendingKey) -> PendingKey? {
        state.withLock { state in
            if let other = state.keys[key] { return other }
            state.keys[key] = pending
            return nil
        }
    }

    func release(_ key: String) { state.withLock { $0.keys[key] = nil } }

    private static func add(_ sandbox: Sandbox, to state: inout State) {
        state.byID[sandbox.id] = sandbox
        if let name = sandbox.name { state.byName[name] = sandbox }
    }
}

extension SandboxError {
    static let starting = SandboxError(
        .unavailable, "The server is starting: it looks for its sandboxes.", hint: "try again in a second")
    static let stopping = SandboxError(.unavailable, "The server is stopping.", hint: "try again when it runs again")
}

internal import NIOHTTP1
public import SandboxModel

extension NightjarClient {
    /// Creates a sandbox; returns when it runs.
    ///
    /// - Parameter idempotencyKey: With the same key and the same spec, a second call returns the first one's sandbox.
    public func create(_ spec: SandboxSpec, idempotencyKey: String? = nil) async throws -> SandboxResource {
        let headers = idempotencyKey.map { [("Idempotency-Key", $0)] } ?? []
        return try await call(.POST, Target("sandboxes"), headers: headers, body: try Self.json(spec))
    }

    /// One page of the sandboxes that have all of `labels` and one of `states` (any, if empty).
    public func sandboxes(
        labels: [String: String] = [:], states: [SandboxState] = [], limit: Int? = nil, cursor: String? = nil
    ) async throws -> Page<SandboxResource> {
        var target = Target("sandboxes")
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) { target.query("label", "\(key)=\(value)") }
        for state in states { target.query("state", state.rawValue) }
        target.query("limit", limit)
        target.query("cursor", cursor)
        return try await call(.GET, target)
    }

    /// All of them, page after page.
    public func allSandboxes(
        labels: [String: String] = [:], states: [SandboxState] = []
    ) async throws -> [SandboxResource] {
        var all: [SandboxResource] = []
        var cursor: String?
        repeat {
            let page = try await sandboxes(labels: labels, states: states, limit: 200, cursor: cursor)
            all += page.items
            cursor = page.nextCursor
        } while cursor != nil
        return all
    }

    /// - Parameter sandbox: Its id or its name.
    public func sandbox(_ sandbox: String) async throws -> SandboxResource {
        try await call(.GET, Target("sandboxes", sandbox))
    }

    public func update(_ sandbox: String, _ change: SandboxChange) async throws -> SandboxResource {
        try await call(.PATCH, Target("sandboxes", sandbox), body: try Self.json(change))
    }

    /// Ends the sandbox and removes all that it had.
    public func delete(_ sandbox: String) async throws { try await perform(.DELETE, Target("sandboxes", sandbox)) }

    /// Freezes it in RAM.
    public func pause(_ sandbox: String) async throws -> SandboxResource { try await change(sandbox, "pause") }

    /// Brings it back from wherever it is: paused, asleep, stopped or failed.
    public func resume(_ sandbox: String) async throws -> SandboxResource { try await change(sandbox, "resume") }

    /// Puts it to sleep on disk.
    public func standby(_ sandbox: String) async throws -> SandboxResource { try await change(sandbox, "standby") }

    /// Ends its processes; the files stay.
    public func stop(_ sandbox: String) async throws -> SandboxResource { try await change(sandbox, "stop") }

    /// Its usage. Neither wakes it nor counts as activity.
    public func metrics(_ sandbox: String) async throws -> SandboxMetricsResource {
        try await call(.GET, Target("sandboxes", sandbox, "metrics"))
    }

    private func change(_ sandbox: String, _ verb: String) async throws -> SandboxResource {
        try await call(.POST, Target("sandboxes", sandbox, verb))
    }
}

internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime

extension APIService {
    func addSandboxRoutes(to router: Router<APIContext>) {
        router.post("/v1/sandboxes", use: create)
        router.get("/v1/sandboxes", use: list)
        router.get("/v1/sandboxes/{sandbox}") { request, context in
            _ = try Query(request, known: [])
            return try Response.json(try await runtime.get(try context.sandbox()))
        }
        router.patch("/v1/sandboxes/{sandbox}", use: update)
        router.delete("/v1/sandboxes/{sandbox}") { request, context in
            _ = try Query(request, known: [])
            try await runtime.delete(try context.sandbox())
            return Response.noContent
        }
        router.get("/v1/sandboxes/{sandbox}/metrics") { request, context in
            _ = try Query(request, known: [])
            return try Response.json(try await runtime.metrics(try context.sandbox()))
        }
        addTransition("pause", to: router) { try await runtime.pause($0) }
        addTransition("resume", to: router) { try await runtime.resume($0) }
        addTransition("standby", to: router) { try await runtime.standby($0) }
        addTransition("stop", to: router) { try await runtime.stop($0) }
    }

    private func addTransition(
        _ verb: String, to router: Router<APIContext>,
        _ act: @escaping @Sendable (String) async throws -> SandboxResource
    ) {
        router.post("/v1/sandboxes/{sandbox}/\(RouterPath(verb))") { request, context in
            _ = try Query(request, known: [])
            return try Response.json(try await act(try context.sandbox()))
        }
    }

    @Sendable private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let key = try Self.idempotencyKey(of: request)
        let spec = try await context.json(CreateBody.self, from: request).spec
        _ = try spec.validated()
        // Equal requests give equal text: fields are filled in and sorted.
        let idempotency = try key.map { Idempotency(key: $0, fingerprint: try JSONOutput.string(spec)) }
        let sandbox = try await runtime.create(spec, idempotency: idempotency)
        context.note(made: sandbox.id.rawValue)
        return try Response.created(sandbox, at: "/v1/sandboxes/\(sandbox.id.rawValue)")
    }

    private static func idempotencyKey(of request: Request) throws(SandboxError) -> String? {
        guard let key = request.headers[.idempotencyKey] else { return nil }
        guard (1...128).contains(key.utf8.count), Idempotency.isValid(key: key) else {
            throw SandboxError(.invalidRequest, "Idempotency-Key must be 1 to 128 visible ASCII characters.")
        }
        return key
    }

    @Sendable private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["label", "state", "limit", "cursor"], repeatable: ["label", "state"])
        var filter = SandboxFilter()
        filter.labels = try query.labels()
        for text in try query.texts("state") {
            guard let state = SandboxState(rawValue: text) else {
                let known = SandboxState.allCases.map(\.rawValue).joined(separator: ", ")
                throw SandboxError(.invalidRequest, "The state '\(text)' is not known.", hint: "known: \(known)")
            }
            filter.states.insert(state)
        }
        let limit = Int(try query.integer("limit", in: 1...200) ?? 50)
        let cursor = try query.cursor()
        return try Response.json(try await runtime.list(filter, cursor: cursor, limit: limit))
    }

    @Sendable private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let sandbox = try context.sandbox()
        let change = try await context.json(SandboxChange.self, from: request)
        // The bounds are those of a creation.
        var probe = SandboxSpec(labels: change.labels ?? [:])
        if let lifecycle = change.lifecycle { probe.lifecycle = lifecycle.applied(to: probe.lifecycle) }
        _ = try probe.validated()
        return try Response.json(try await runtime.update(sandbox, change))
    }
}

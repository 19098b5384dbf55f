internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

extension APIService {
    func addSystemRoutes(to router: Router<APIContext>) {
        router.get("/v1/health") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(runtime.health())
        }
        router.get("/v1/version") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(
                VersionResource(
                    version: NightjarVersion.current, api: NightjarVersion.api, wireGeneration: Int(Hello.generation)))
        }
        router.get("/v1/capabilities") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(await runtime.capabilities())
        }
        router.get("/v1/node") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(runtime.node())
        }
        router.get("/v1/openapi.yaml") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/yaml"],
                body: .init(byteBuffer: .init(string: OpenAPIDocument.text)))
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: .init(string: configuration.renderMetrics())))
        }
        router.get("/v1/templates") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(Items(items: try await runtime.templates()))
        }
        router.get("/v1/templates/{template}") { request, context in
            _ = try Query(request, known: [])
            let name = try context.parameter("template")
            try SandboxSpec.check(name: name, what: "template")
            return try Response.json(try await runtime.template(name))
        }
        router.get("/v1/events", use: events)
    }

    @Sendable private func events(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["after", "sandbox", "limit", "follow"])
        let last = try request.lastEventID()
        let after = try query.integer("after", in: 0...Query.largestInteger)
        let limit = Int(try query.integer("limit", in: 1...1000) ?? 100)
        let sandbox = try query.text("sandbox")
        if let sandbox, SandboxID(sandbox) == nil { try SandboxSpec.check(name: sandbox, what: "sandbox's name") }
        guard try query.flag("follow") == true else {
            return try Response.json(
                Items(items: try await runtime.events(after: after, sandbox: sandbox, limit: limit)))
        }
        let start = last ?? after
        return try await context.serveEvents { sink in
            var last = start
            // The runtime ends a follower that lags; it goes on after what was sent, from the store.
            while true {
                let before = last
                for await event in runtime.followEvents(after: last, sandbox: sandbox) {
                    try await sink.send(event: "event", id: "\(event.sequence)", data: event)
                    last = event.sequence
                }
                try Task.checkCancellation()
                if last == before { try await Task.sleep(for: .milliseconds(200)) }
            }
        }
    }
}

extension Request {
    /// Where a stream of events goes on.
    func lastEventID() throws(SandboxError) -> Int64? {
        guard let text = headers[.lastEventID] else { return nil }
        guard (1...15).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw SandboxError(
                .invalidCursor, "The header Last-Event-ID is not the id of an event.", hint: "1 to 15 digits")
        }
        return Int64(text)
    }
}

extension HTTPField.Name {
    static let lastEventID = header("Last-Event-ID")
    static let idempotencyKey = header("Idempotency-Key")
    static let nightjarFile = header("X-Nightjar-File")
}

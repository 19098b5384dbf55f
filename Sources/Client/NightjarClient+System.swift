internal import NIOHTTP1
public import SandboxModel

/// A list that comes in one piece.
struct Items<Item: Sendable & Codable>: Sendable, Codable {
    var items: [Item]
}

extension NightjarClient {
    public func health() async throws -> HealthResource { try await call(.GET, Target("health")) }

    public func version() async throws -> VersionResource { try await call(.GET, Target("version")) }

    public func capabilities() async throws -> CapabilitiesResource { try await call(.GET, Target("capabilities")) }

    /// What the node has, what is promised of it, and who waits.
    public func node() async throws -> NodeResource { try await call(.GET, Target("node")) }

    public func templates() async throws -> [TemplateResource] {
        let list: Items<TemplateResource> = try await call(.GET, Target("templates"))
        return list.items
    }

    public func template(_ name: String) async throws -> TemplateResource {
        try await call(.GET, Target("templates", name))
    }

    /// Events after the one with sequence number `after`, oldest first.
    public func events(after: Int64? = nil, sandbox: String? = nil, limit: Int? = nil) async throws -> [EventResource] {
        let list: Items<EventResource> = try await call(
            .GET, eventsTarget(after: after, sandbox: sandbox, limit: limit, follow: false))
        return list.items
    }

    /// Events after `after` (from now on, if it is `nil`), as they come, until the caller stops reading.
    ///
    /// The stream ends when the connection does; go on with the sequence number of the last event.
    public func followEvents(after: Int64? = nil, sandbox: String? = nil) async throws -> ResourceStream<EventResource>
    {
        ResourceStream(
            events: try await events(eventsTarget(after: after, sandbox: sandbox, limit: nil, follow: true)))
    }

    private func eventsTarget(after: Int64?, sandbox: String?, limit: Int?, follow: Bool) -> Target {
        var target = Target("events")
        target.query("after", after)
        target.query("sandbox", sandbox)
        target.query("limit", limit)
        if follow { target.query("follow", true) }
        return target
    }
}

/// The resources in a stream of events, as they come.
public struct ResourceStream<Element: Sendable & Decodable>: AsyncSequence, Sendable {
    public typealias Failure = any Error

    let events: ServerSentEvents

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: ServerSentEvents.AsyncIterator
        public mutating func next() async throws -> Element? {
            while let event = try await base.next() {
                if event.event == "error" { throw StreamError.decode(event) }
                if let element = try? NightjarClient.decode(Element.self, from: event.data.utf8) { return element }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: events.makeAsyncIterator()) }
}

/// An error that comes in the middle of a stream.
enum StreamError {
    static func decode(_ event: ServerSentEvent) -> SandboxError {
        AnswerError.decode(status: 200, requestID: nil, body: Array(event.data.utf8))
    }
}

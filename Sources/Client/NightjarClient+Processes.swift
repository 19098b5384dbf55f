internal import NIOCore
internal import NIOHTTP1
public import SandboxModel

extension NightjarClient {
    /// Runs a command to its end and returns what it said.
    public func exec(_ sandbox: String, _ request: ExecRequest) async throws -> ExecResource {
        try await call(
            .POST, Target("sandboxes", sandbox, "exec"), body: try Self.json(request), patience: .endless)
    }

    /// Starts a process and returns while it runs.
    public func start(_ sandbox: String, _ request: ExecRequest) async throws -> ProcessResource {
        try await call(.POST, Target("sandboxes", sandbox, "processes"), body: try Self.json(request))
    }

    /// The processes that were started through the API, those that have ended too.
    public func processes(_ sandbox: String) async throws -> [ProcessResource] {
        let list: Items<ProcessResource> = try await call(.GET, Target("sandboxes", sandbox, "processes"))
        return list.items
    }

    /// Every process inside.
    public func processTable(_ sandbox: String) async throws -> [ProcessTableEntryResource] {
        let list: Items<ProcessTableEntryResource> = try await call(
            .GET, Target("sandboxes", sandbox, "processes", "table"))
        return list.items
    }

    public func process(_ sandbox: String, _ process: UInt32) async throws -> ProcessResource {
        try await call(.GET, route(sandbox, process))
    }

    /// Waits for a process to end.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` if it runs on after `timeout` seconds (0 to 3,600).
    public func wait(_ sandbox: String, _ process: UInt32, timeout: Double = 60) async throws -> ExitResource {
        var target = route(sandbox, process, "wait")
        target.query("timeout", "\(timeout)")
        return try await call(.GET, target, patience: .longer(by: .seconds(timeout)))
    }

    /// - Parameter group: Whether the whole process group gets it.
    public func signal(_ sandbox: String, _ process: UInt32, _ signal: Int, group: Bool = true) async throws {
        struct Body: Encodable {
            var signal: Int
            var group: Bool
        }
        try await perform(
            .POST, route(sandbox, process, "signal"), headers: Self.jsonHeaders,
            body: try Self.json(Body(signal: signal, group: group)))
    }

    /// Writes to its standard input.
    public func write(_ sandbox: String, _ process: UInt32, _ bytes: [UInt8], close: Bool = false) async throws {
        var target = route(sandbox, process, "stdin")
        if close { target.query("close", true) }
        try await perform(
            .POST, target, headers: [("Content-Type", "application/octet-stream")],
            body: .bytes(ByteBuffer(bytes: bytes)))
    }

    /// Tells a process with a terminal its new size.
    public func resize(_ sandbox: String, _ process: UInt32, columns: Int, rows: Int) async throws {
        try await perform(
            .POST, route(sandbox, process, "resize"), headers: Self.jsonHeaders,
            body: try Self.json(ExecRequest.Terminal(columns: columns, rows: rows)))
    }

    /// Retained output from `offset` on, at most `limit` bytes.
    public func output(
        _ sandbox: String, _ process: UInt32, offset: Int64 = 0, limit: Int? = nil
    ) async throws -> OutputResource {
        var target = route(sandbox, process, "output")
        target.query("offset", offset)
        target.query("limit", limit)
        return try await call(.GET, target)
    }

    /// Output from `offset` on and at last the exit, as they come. Does not keep the sandbox awake.
    public func followOutput(_ sandbox: String, _ process: UInt32, offset: Int64 = 0) async throws -> OutputStream {
        var target = route(sandbox, process, "output")
        target.query("offset", offset)
        target.query("follow", true)
        return OutputStream(events: try await events(target))
    }

    static let jsonHeaders = [("Content-Type", "application/json")]

    func route(_ sandbox: String, _ process: UInt32, _ verb: String? = nil) -> Target {
        var target = Target("sandboxes", sandbox, "processes", "\(process)")
        if let verb { target.append(segment: verb) }
        return target
    }
}

/// What a process says, as an observer sees it.
public struct OutputStream: AsyncSequence, Sendable {
    public enum Element: Sendable {
        case output(OutputChunkResource)
        case exit(ExitResource)
    }
    public typealias Failure = any Error

    let events: ServerSentEvents

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: ServerSentEvents.AsyncIterator
        public mutating func next() async throws -> Element? {
            while let event = try await base.next() {
                switch event.event {
                case "output":
                    return .output(try NightjarClient.decode(OutputChunkResource.self, from: event.data.utf8))
                case "exit": return .exit(try NightjarClient.decode(ExitResource.self, from: event.data.utf8))
                case "error": throw StreamError.decode(event)
                default: continue
                }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: events.makeAsyncIterator()) }
}

internal import Access
internal import HTTPTypes
public import Hummingbird
internal import NIOCore
internal import SandboxModel

/// Writes server-sent events. Several tasks may send; an event goes out whole.
public struct EventSink: Sendable {
    let stream: ResponseStream

    /// Sends one event, and waits while the peer is slow to read.
    ///
    /// - Parameters:
    ///   - event: The event's name; no line breaks.
    ///   - id: What a client sends as `Last-Event-ID` to go on from here.
    ///   - data: Encoded as JSON on one line.
    public func send(event: String, id: String? = nil, data: some Encodable) async throws {
        var text = "event: \(event)\n"
        if let id { text += "id: \(id)\n" }
        text += "data: \(try JSONOutput.string(data))\n\n"
        try await stream.write(ByteBuffer(string: text))
    }

    func heartbeat() async throws { try await stream.write(ByteBuffer(string: ": \n\n")) }
}

extension APIContext {
    /// Counts a stream that stays open; it is cut off if its key is revoked.
    func openStream() throws -> AccessLease? {
        let connection = connection
        return try access.openStream(principal) { connection.cutOff() }
    }

    /// Answers with `text/event-stream` and runs `produce` until it returns, the client goes, or the server shuts down.
    ///
    /// A comment goes out every `heartbeat`, so that proxies and clients see that the stream lives. The answer's head is
    /// sent before `produce` starts: what can be refused must be refused before.
    public func serveEvents(
        heartbeat: Duration = .seconds(15), _ produce: @escaping @Sendable (EventSink) async throws -> Void
    ) async throws -> Response {
        let lease = try openStream()
        defer { withExtendedLifetime(lease) {} }
        let stream = try await beginStream(
            .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no"])
        let sink = EventSink(stream: stream)
        try await sink.heartbeat()
        let requestID = requestID
        do {
            try await connection.whileOpen(endsAtShutdown: true) {
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        try await produce(sink)
                        return true
                    }
                    group.addTask {
                        while true {
                            try await Task.sleep(for: heartbeat)
                            try await sink.heartbeat()
                        }
                    }
                    defer { group.cancelAll() }
                    _ = try await group.next()
                }
            }
        } catch {
            // The head is out already; the error travels as the last event.
            guard !connection.hasReached(.closed) else { throw error }
            let error = ErrorResponse.sandboxError(from: error)
            if error.code != .cancelled {
                try await sink.send(event: "error", data: ErrorResponse.resource(for: error, requestID: requestID))
            }
        }
        try await stream.finish()
        return stream.response
    }
}

extension HTTPField.Name {
    static let xAccelBuffering = header("X-Accel-Buffering")
}

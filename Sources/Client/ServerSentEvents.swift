/// One event of a server-sent event stream.
public struct ServerSentEvent: Sendable, Hashable {
    /// `message` if the stream did not name it.
    public var event: String
    /// The last id that the stream gave.
    public var id: String?
    public var data: String
}

/// Cuts a byte stream into server-sent events. Incomplete events at the end are dropped, as the standard says.
struct ServerSentEventParser {
    private var line: [UInt8] = []
    private var afterReturn = false
    private var event = ""
    private var data: [String] = []
    private var id: String?

    /// Takes the next bytes and returns the events that they complete.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            let wasReturn = afterReturn
            afterReturn = byte == UInt8(ascii: "\r")
            if byte == UInt8(ascii: "\n"), wasReturn { continue }
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if let event = endLine() { events.append(event) }
            } else {
                line.append(byte)
            }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        if line.isEmpty {
            defer {
                event = ""
                data = []
            }
            guard !data.isEmpty else { return nil }
            return ServerSentEvent(
                event: event.isEmpty ? "message" : event, id: id, data: data.joined(separator: "\n"))
        }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        var value = line[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        let text = String(decoding: value, as: UTF8.self)
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "event": event = text
        case "data": data.append(text)
        case "id": id = text
        default: break
        }
        return nil
    }
}

/// The events of an answer, as they come.
public struct ServerSentEvents: AsyncSequence, Sendable {
    public typealias Element = ServerSentEvent
    public typealias Failure = any Error

    let body: ResponseBody

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: ResponseBody.AsyncIterator
        private var parser = ServerSentEventParser()
        private var ready: ArraySlice<ServerSentEvent> = []

        fileprivate init(base: ResponseBody.AsyncIterator) { self.base = base }

        public mutating func next() async throws -> ServerSentEvent? {
            while true {
                if let event = ready.popFirst() { return event }
                guard let bytes = try await lossTold({ try await base.next() }) else { return nil }
                ready = parser.feed(bytes)[...]
            }
        }

        private func lossTold<R>(_ body: () async throws -> R) async throws -> R {
            do {
                return try await body()
            } catch let lost as ConnectionLost {
                throw ConnectionPool.error(for: lost)
            }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: body.makeAsyncIterator()) }
}

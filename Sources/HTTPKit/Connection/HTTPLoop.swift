internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import SandboxModel

/// The body of the request that is being answered. The connection's loop and the handler take turns with it: the loop
/// touches it only before the handler starts and after it has returned.
final class InboundBody: AsyncSequence, @unchecked Sendable {
    typealias Element = ByteBuffer
    typealias Parts = NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator

    private var parts: Parts
    private(set) var isComplete = false

    init(parts: Parts) { self.parts = parts }

    struct AsyncIterator: AsyncIteratorProtocol {
        let body: InboundBody
        mutating func next() async throws -> ByteBuffer? { try await body.nextPiece() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }

    /// The next request's head; `nil` when the peer has sent its last.
    func nextHead() async throws -> HTTPRequest? {
        guard case .head(let head)? = try await parts.next() else { return nil }
        isComplete = false
        return head
    }

    private func nextPiece() async throws -> ByteBuffer? {
        guard !isComplete else { return nil }
        switch try await parts.next() {
        case .body(let buffer): return buffer
        case .end:
            isComplete = true
            return nil
        case .head, nil:
            throw SandboxError(.cancelled, "The connection was closed before the request was complete.")
        }
    }

    /// Reads what the handler left. Whether the body ended within `limit` bytes.
    func drain(limit: Int) async throws -> Bool {
        var left = limit
        while let piece = try await nextPiece() {
            left -= piece.readableBytes
            if left < 0 { return false }
        }
        return true
    }
}

/// Reads requests from one connection and answers them, one after the other.
struct HTTPLoop: Sendable {
    typealias Channel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: APIResponder
    let connection: Connection
    let logger: Logger

    /// Bytes of an unread body that are worth reading to keep the connection.
    private static let drainLimit = 256 * 1024
    /// How long a peer may take to read the last answer before the connection is cut.
    private static let lingering = TimeAmount.seconds(2)

    func run(_ channel: Channel) async {
        do {
            try await withTaskCancellationHandler {
                try await channel.executeThenClose { inbound, outbound in
                    try await answerAll(InboundBody(parts: inbound.makeAsyncIterator()), outbound, channel.channel)
                }
            } onCancel: {
                channel.channel.close(mode: .input, promise: nil)
            }
        } catch {
            logger.trace("connection ended", metadata: ["error": "\(error)"])
        }
    }

    private func answerAll(
        _ body: InboundBody, _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>, _ channel: any NIOCore.Channel
    ) async throws {
        do {
            while let head = try await body.nextHead() {
                guard try await answer(head, body, outbound, channel) else { break }
            }
        } catch let error where ErrorResponse.isUnreadable(error) {
            try await refuse(error, outbound)
        }
        // The peer reads the rest and closes; it gets a little time for that.
        channel.eventLoop.scheduleTask(in: Self.lingering) { channel.close(promise: nil) }
        outbound.finish()
        try await channel.closeFuture.get()
    }

    /// Whether the connection can take another request.
    private func answer(
        _ head: HTTPRequest, _ body: InboundBody, _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>,
        _ channel: any NIOCore.Channel
    ) async throws -> Bool {
        let request = Request(head: head, body: RequestBody(asyncSequence: body))
        let output = ResponseOutput(outbound: outbound)
        let response = await responder.respond(to: request, connection: connection, output: output, upgrade: nil)
        let wantsClose = head.headerFields[.connection]?.lowercased().contains("close") ?? false
        if output.head != nil {
            // A stream that was not finished cannot be told from a whole one but by closing.
            guard output.isComplete else { throw ChannelError.outputClosed }
            return wantsClose ? false : try await body.drain(limit: Self.drainLimit)
        }
        let tooMuchUnread = !body.isComplete && Self.isLong(head)
        var last = response.head
        last.headerFields[.date] = HTTPDate.now
        if wantsClose || tooMuchUnread { last.headerFields[.connection] = "close" }
        try await write(last, response.body, isHead: head.method == .head, outbound)
        guard !wantsClose, !tooMuchUnread else { return false }
        return try await body.drain(limit: Self.drainLimit)
    }

    private static func isLong(_ head: HTTPRequest) -> Bool {
        if let length = head.headerFields[.contentLength].flatMap({ Int($0) }) { return length > drainLimit }
        return head.headerFields[.transferEncoding] != nil
    }

    private func write(
        _ head: HTTPResponse, _ body: ResponseBody, isHead: Bool,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    ) async throws {
        if isHead {
            try await outbound.write(contentsOf: [.head(head), .end(nil)])
            return
        }
        let pieces = CollectedBody()
        try await body.write(pieces)
        try await outbound.write(contentsOf: [.head(head)] + pieces.buffers.map { .body($0) } + [.end(nil)])
    }

    private func refuse(
        _ error: any Error, _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    ) async throws {
        var response = ErrorResponse.response(toUnreadable: error)
        response.headers[.connection] = "close"
        try await write(response.head, response.body, isHead: false, outbound)
    }
}

/// Bodies of plain answers are small and in memory; streams go through ``ResponseOutput``.
final class CollectedBody: ResponseBodyWriter {
    var buffers: [ByteBuffer] = []
    func write(_ buffer: ByteBuffer) async throws { buffers.append(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

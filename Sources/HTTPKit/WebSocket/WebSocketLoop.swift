internal import Logging
internal import NIOCore
internal import SandboxModel

/// An accepted WebSocket, in the hands of a route's handler.
///
/// Sending waits for a slow peer, and a peer that sends faster than its messages are taken is slowed down as well.
public final class WebSocketConnection: @unchecked Sendable {
    // The iterator is touched by `next()` alone, which has one caller at a time.
    private var inbound: NIOAsyncChannelInboundStream<WebSocketMessage>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<WebSocketMessage>

    init(
        inbound: NIOAsyncChannelInboundStream<WebSocketMessage>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<WebSocketMessage>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    /// The next message; `nil` when the peer has closed. One caller at a time.
    public func next() async throws -> WebSocketMessage? { try await inbound.next() }

    /// May be called by several tasks; messages are never mixed.
    public func send(_ message: WebSocketMessage) async throws { try await outbound.write(message) }
}

struct WebSocketLoop: Sendable {
    typealias Channel = NIOAsyncChannel<WebSocketMessage, WebSocketMessage>

    let connection: Connection
    let logger: Logger

    func run(_ channel: Channel, _ handler: @escaping WebSocketHandler) async {
        connection.place?.begin()
        defer { connection.place?.end() }
        do {
            try await channel.executeThenClose { inbound, outbound in
                let socket = WebSocketConnection(inbound: inbound.makeAsyncIterator(), outbound: outbound)
                let end = await outcome(of: handler, socket)
                try? await outbound.write(.close(code: end.code, reason: end.reason))
                // The message handler cuts the connection after two seconds at the latest.
                while try await socket.next() != nil {}
            }
        } catch {
            logger.trace("WebSocket ended", metadata: ["error": "\(error)"])
        }
    }

    private func outcome(
        of handler: @escaping WebSocketHandler, _ socket: WebSocketConnection
    ) async -> (code: UInt16, reason: String) {
        do {
            try await connection.whileOpen(endsAtShutdown: true) { try await handler(socket) }
            return (1000, "")
        } catch {
            if connection.hasReached(.closed) { return (1000, "") }
            if connection.hasReached(.quiescing) { return (1001, "the server is shutting down") }
            let error = ErrorResponse.sandboxError(from: error)
            if error.code.row.httpStatus == 500 {
                logger.warning("WebSocket failed", metadata: ["error": "\(error)"])
            }
            return (error.code.row.httpStatus >= 500 ? 1011 : 1008, error.code.rawValue)
        }
    }
}

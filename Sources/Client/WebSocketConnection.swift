internal import NIOCore
internal import NIOHTTP1
internal import NIOWebSocket
internal import SandboxModel

/// What goes over a WebSocket, pings and the closing handshake left out.
enum WebSocketMessage: Sendable {
    case binary(ByteBuffer)
    case text(String)
    /// From here: ends the connection. From the server: it ends it, with this code and reason.
    case close(code: Int, reason: String)
}

/// An open WebSocket. One task reads, any may write.
struct WebSocketConnection: Sendable {
    let inbound: NIOAsyncChannelInboundStream<WebSocketMessage>
    let outbound: NIOAsyncChannelOutboundWriter<WebSocketMessage>
}

/// Frames to messages, with masks, answers to pings and the closing handshake.
final class WebSocketMessageHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketMessage
    typealias OutboundIn = WebSocketMessage
    typealias OutboundOut = WebSocketFrame

    private var closeSent = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .binary: context.fireChannelRead(wrapInboundOut(.binary(frame.unmaskedData)))
        case .text: context.fireChannelRead(wrapInboundOut(.text(String(buffer: frame.unmaskedData))))
        case .ping: send(.pong, frame.unmaskedData, context: context, promise: nil)
        case .connectionClose:
            var data = frame.unmaskedData
            let code = data.readInteger(as: UInt16.self).map(Int.init) ?? 1005
            context.fireChannelRead(wrapInboundOut(.close(code: code, reason: String(buffer: data))))
            if !closeSent {
                closeSent = true
                send(.connectionClose, frame.unmaskedData, context: context, promise: nil)
            }
            context.close(promise: nil)
        default: break
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .binary(let buffer): send(.binary, buffer, context: context, promise: promise, flush: false)
        case .text(let text):
            send(.text, ByteBuffer(string: text), context: context, promise: promise, flush: false)
        case .close(let code, let reason):
            closeSent = true
            var buffer = ByteBuffer()
            buffer.writeInteger(UInt16(clamping: code))
            buffer.writeString(reason)
            send(.connectionClose, buffer, context: context, promise: promise, flush: false)
        }
    }

    private func send(
        _ opcode: WebSocketOpcode, _ data: ByteBuffer, context: ChannelHandlerContext, promise: EventLoopPromise<Void>?,
        flush: Bool = true
    ) {
        let frame = WebSocketFrame(fin: true, opcode: opcode, maskKey: .random(), data: data)
        context.write(wrapOutboundOut(frame), promise: promise)
        if flush { context.flush() }
    }
}

extension ConnectionPool {
    private enum Upgrade: Sendable {
        case accepted(NIOAsyncChannel<WebSocketMessage, WebSocketMessage>)
        case refused(NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>)
    }

    /// The largest message that the server may send, in bytes.
    private static let maximumMessage = 16 << 20

    /// Opens a WebSocket on a connection of its own, lends it to `body` and closes it.
    ///
    /// - Throws: the server's error if it refuses the upgrade; what `body` throws.
    func withWebSocket<R: Sendable>(
        _ target: Target, isolation: isolated (any Actor)? = #isolation, _ body: (WebSocketConnection) async throws -> R
    ) async throws -> R {
        let request = head(of: HTTPRequest(method: .GET, target: target.string))
        let result = try await connect { channel in Self.upgrade(channel, request) }
        switch try await upgraded(result) {
        case .refused(let channel):
            throw try await Self.refusal(channel)
        case .accepted(let channel):
            return try await channel.executeThenClose { inbound, outbound in
                let result = try await body(WebSocketConnection(inbound: inbound, outbound: outbound))
                try? await outbound.write(.close(code: 1000, reason: ""))
                return result
            }
        }
    }

    private func upgraded(_ future: EventLoopFuture<Upgrade>) async throws -> Upgrade {
        do {
            return try await future.get()
        } catch {
            throw Self.error(for: ConnectionLost(beforeAnswer: true, cause: error))
        }
    }

    private static func upgrade(
        _ channel: any Channel, _ request: HTTPRequestHead
    ) -> EventLoopFuture<EventLoopFuture<Upgrade>> {
        channel.eventLoop.makeCompletedFuture {
            let upgrader = NIOTypedWebSocketClientUpgrader<Upgrade>(maxFrameSize: maximumMessage) { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    let frames = NIOWebSocketFrameAggregator(
                        minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 4096,
                        maxAccumulatedFrameSize: maximumMessage)
                    try channel.pipeline.syncOperations.addHandlers([frames, WebSocketMessageHandler()])
                    return .accepted(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
                }
            }
            let upgrade = NIOTypedHTTPClientUpgradeConfiguration<Upgrade>(
                upgradeRequestHead: request, upgraders: [upgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        .refused(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
                    }
                })
            var pipeline = NIOUpgradableHTTPClientPipelineConfiguration(upgradeConfiguration: upgrade)
            // The server's first messages may come in one piece with its answer to the upgrade.
            pipeline.leftOverBytesStrategy = .forwardBytes
            return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(configuration: pipeline)
        }
    }

    private static func refusal(
        _ channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
    ) async throws -> SandboxError {
        try await channel.executeThenClose { inbound, _ in
            var status = 0
            var requestID: String?
            var body = [UInt8]()
            for try await part in inbound {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    requestID = head.headers.first(name: "X-Request-ID")
                case .body(let buffer): if body.count < 1 << 20 { body.append(contentsOf: buffer.readableBytesView) }
                case .end: return AnswerError.decode(status: status, requestID: requestID, body: body)
                }
            }
            return AnswerError.decode(status: status, requestID: requestID, body: body)
        }
    }
}

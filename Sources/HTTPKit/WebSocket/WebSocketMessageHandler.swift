public import NIOCore
internal import NIOWebSocket

/// One whole message of a WebSocket.
public enum WebSocketMessage: Sendable {
    case text(String)
    case binary(ByteBuffer)
    /// Sent once, at the end. Never received: a peer's close ends the sequence of messages.
    case close(code: UInt16, reason: String)
}

/// A client must mask what it sends, and use neither reserved bits nor reserved opcodes (RFC 6455, 5.1 and 5.2).
struct UnmaskedFrame: Error {}

/// Refuses frames that break the protocol, before they are put together, and reads no more of them than a peer may send:
/// each costs the same, however small it is.
final class MaskCheck: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketFrame
    typealias OutboundIn = Never

    /// What one frame uses up of the time.
    private let share: TimeAmount
    /// Until when the frames that came have used up the time.
    private var paidUntil = NIODeadline.now()
    /// A read that has to wait.
    private var putOff: Scheduled<Void>?

    init(framesPerSecond: Int) { share = .nanoseconds(1_000_000_000 / Int64(max(1, framesPerSecond))) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        let opcodes: [WebSocketOpcode] = [.continuation, .text, .binary, .connectionClose, .ping, .pong]
        guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3, opcodes.contains(frame.opcode) else {
            context.fireErrorCaught(UnmaskedFrame())
            return
        }
        paidUntil = max(paidUntil, .now() - .seconds(1)) + share
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        guard paidUntil > now else { return context.read() }
        guard putOff == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        putOff = context.eventLoop.scheduleTask(deadline: paidUntil) {
            let (handler, context) = bound.value
            handler.putOff = nil
            context.read()
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { putOff?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        putOff?.cancel()
        context.fireChannelInactive()
    }
}

/// Between frames and messages: answers pings, asks silent peers, and does the closing handshake.
///
/// While the reader is slow, nothing is read from the socket, pongs included; that time does not count as silence.
final class WebSocketMessageHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketMessage
    typealias OutboundIn = WebSocketMessage
    typealias OutboundOut = WebSocketFrame

    private let interval: TimeAmount
    private let mostControlFrames: Int
    private var controlFrames = 0
    private var second = NIODeadline.now()
    /// The latest ping's data, while the peer does not read. One pong answers all pings before it.
    private var owedPong: ByteBuffer?
    private var timer: RepeatedTask?
    private var silentIntervals = 0
    /// Whether a read is under way; when this handler comes, one is.
    private var isReading = true
    private var sentClose = false

    init(limits: ConnectionLimits) {
        interval = limits.webSocketPing
        mostControlFrames = limits.webSocketControlFrames
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let (handler, context) = bound.value
            handler.tick(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        isReading = true
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        context.fireChannelReadComplete()
    }

    private func tick(_ context: ChannelHandlerContext) {
        guard isReading else { return }
        guard silentIntervals < 2 else {
            context.close(promise: nil)
            return
        }
        silentIntervals += 1
        let ping = WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer())
        context.writeAndFlush(wrapOutboundOut(ping), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        silentIntervals = 0
        let frame = unwrapInboundIn(data)
        // After its own close frame this side takes nothing but the peer's.
        if sentClose, frame.opcode != .connectionClose { return }
        switch frame.opcode {
        case .binary: context.fireChannelRead(wrapInboundOut(.binary(frame.unmaskedData)))
        case .text:
            guard let text = String(validating: frame.unmaskedData.readableBytesView, as: UTF8.self) else {
                close(context, code: 1007, reason: "text is not UTF-8")
                return
            }
            context.fireChannelRead(wrapInboundOut(.text(text)))
        case .ping:
            guard countControlFrame(context) else { return }
            owedPong = frame.unmaskedData
            payPong(context)
        case .pong: _ = countControlFrame(context)
        case .connectionClose:
            if sentClose {
                context.close(promise: nil)
            } else {
                echoClose(context, frame.unmaskedData)
            }
        default: break
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        payPong(context)
        context.fireChannelWritabilityChanged()
    }

    /// Answers the latest ping, if the peer reads: pongs that nobody takes would pile up.
    private func payPong(_ context: ChannelHandlerContext) {
        guard let data = owedPong, context.channel.isWritable, !sentClose else { return }
        owedPong = nil
        context.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .pong, data: data)), promise: nil)
    }

    /// Whether the peer may send another one; otherwise the WebSocket is closed.
    private func countControlFrame(_ context: ChannelHandlerContext) -> Bool {
        let now = NIODeadline.now()
        if now - second >= .seconds(1) { (second, controlFrames) = (now, 0) }
        controlFrames += 1
        guard controlFrames > mostControlFrames else { return true }
        close(context, code: 1008, reason: "too many pings")
        return false
    }

    private func echoClose(_ context: ChannelHandlerContext, _ data: ByteBuffer) {
        sentClose = true
        let code = data.getSlice(at: data.readerIndex, length: min(2, data.readableBytes)) ?? ByteBuffer()
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: code)))
            .whenComplete { _ in channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength, NIOWebSocketFrameAggregator.Error.accumulatedFrameSizeIsTooLarge:
            close(context, code: 1009, reason: "message too large")
        case is NIOWebSocketError, is NIOWebSocketFrameAggregator.Error, is UnmaskedFrame:
            close(context, code: 1002, reason: "protocol error")
        default: context.fireErrorCaught(error)
        }
    }

    /// Sends a close frame once and cuts the connection soon after, whether the peer answers or not.
    private func close(
        _ context: ChannelHandlerContext, code: UInt16, reason: String, promise: EventLoopPromise<Void>? = nil
    ) {
        guard !sentClose else {
            promise?.succeed()
            return
        }
        sentClose = true
        var data = ByteBuffer()
        data.writeInteger(code)
        data.writeString(String(reason.prefix(60)))
        let channel = context.channel
        context.writeAndFlush(
            wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: data)), promise: promise)
        context.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !sentClose else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        switch unwrapOutboundIn(data) {
        case .text(let text):
            let frame = WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: text))
            context.write(wrapOutboundOut(frame), promise: promise)
        case .binary(let buffer):
            context.write(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .binary, data: buffer)), promise: promise)
        case .close(let code, let reason): close(context, code: code, reason: reason, promise: promise)
        }
    }
}

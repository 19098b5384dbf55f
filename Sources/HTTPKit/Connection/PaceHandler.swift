internal import NIOCore
internal import NIOHTTP1

/// Cuts off a peer that keeps a request open and hardly sends, or asks for an answer and does not read it.
///
/// It watches in intervals. A body that came with fewer bytes than the least rate in several intervals in a row is given
/// up, which the request's handler sees as an error; time in which this side did not want to read does not count. An
/// answer of which the peer took nothing for as long closes the connection.
final class PaceHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: ConnectionLimits
    private var timer: RepeatedTask?
    private var awaitsBody = false
    private var isReading = false
    private var received = 0
    private var slowIntervals = 0
    private var stuckIntervals = 0

    init(limits: ConnectionLimits) { self.limits = limits }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
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

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            awaitsBody = true
            (received, slowIntervals) = (0, 0)
            start(context)
        case .body(let buffer): received += buffer.readableBytes
        case .end: awaitsBody = false
        }
        context.fireChannelRead(data)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // The peer took something.
        stuckIntervals = 0
        if !context.channel.isWritable { start(context) }
        context.fireChannelWritabilityChanged()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let interval = limits.paceInterval
        timer = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let (handler, context) = bound.value
            handler.tick(context)
        }
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }

    private func tick(_ context: ChannelHandlerContext) {
        let isStuck = !context.channel.isWritable
        guard awaitsBody || isStuck else { return stop() }
        stuckIntervals = isStuck ? stuckIntervals + 1 : 0
        if stuckIntervals >= limits.paceIntervals {
            context.close(promise: nil)
            return
        }
        let least = limits.leastRate * Int(limits.paceInterval.nanoseconds) / 1_000_000_000
        slowIntervals = awaitsBody && isReading && received < least ? slowIntervals + 1 : 0
        received = 0
        if slowIntervals >= limits.paceIntervals {
            awaitsBody = false
            context.fireErrorCaught(SlowRequest())
        }
    }
}

/// The peer did not send the rest of its request.
struct SlowRequest: Error {}

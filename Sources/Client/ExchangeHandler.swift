internal import NIOCore
internal import NIOHTTP1
internal import SandboxModel

/// What is written into a connection's pipeline.
enum ExchangeCommand: Sendable {
    case begin(Exchange)
    case body(ByteBuffer)
    case end
}

/// One request and the places where its answer goes.
struct Exchange: Sendable {
    enum Body: Sendable {
        /// Sent at once together with the head.
        case whole(ByteBuffer?)
        /// The commands `body` and `end` follow.
        case streamed
    }

    var head: HTTPRequestHead
    var body: Body
    var timeout: TimeAmount?
    var answer: EventLoopPromise<HTTPResponse>
    /// Called on the event loop when the connection is ready for the next exchange.
    var release: @Sendable () -> Void
}

/// The connection ended before an answer began.
struct ConnectionLost: Error {
    /// Whether nothing at all came back.
    var beforeAnswer: Bool
    var cause: (any Error)?
}

/// Runs one exchange after the other on a connection. Every method runs on the connection's event loop.
final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = ExchangeCommand
    typealias OutboundOut = HTTPClientRequestPart

    private enum State {
        /// To `awaiting`, `closed`.
        case idle
        /// The request is under way. To `receiving`, `closed`.
        case awaiting(Exchange, Scheduled<Void>?)
        /// To `idle` when both sides have ended, or `closed`.
        case receiving(Exchange, ResponseBody.Producer.Source, reusable: Bool)
        case closed
    }

    private var state = State.idle
    private var requestEnded = false
    private var paused = false
    private var readIsPending = false
    private var context: ChannelHandlerContext?
    private var failure: (any Error)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: Sending

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .begin(let exchange): begin(exchange, context: context, promise: promise)
        case .body(let buffer): context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: promise)
        case .end:
            requestEnded = true
            context.write(wrapOutboundOut(.end(nil)), promise: promise)
        }
    }

    private func begin(_ exchange: Exchange, context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        guard case .idle = state else {
            let lost = ConnectionLost(beforeAnswer: true, cause: nil)
            exchange.answer.fail(lost)
            promise?.fail(lost)
            return
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let timer = exchange.timeout.map { amount in
            context.eventLoop.scheduleTask(in: amount) { bound.value.timedOut(after: amount) }
        }
        state = .awaiting(exchange, timer)
        switch exchange.body {
        case .streamed:
            requestEnded = false
            context.write(wrapOutboundOut(.head(exchange.head)), promise: promise)
        case .whole(let buffer):
            requestEnded = true
            context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
            if let buffer { context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil) }
            context.write(wrapOutboundOut(.end(nil)), promise: promise)
        }
    }

    private func timedOut(after amount: TimeAmount) {
        guard case .awaiting = state else { return }
        failure = SandboxError(
            .deadlineExceeded, "The server did not answer within \(amount.nanoseconds / 1_000_000_000) s.")
        context?.close(promise: nil)
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): received(head, context: context)
        case .body(let buffer):
            guard case .receiving(_, let source, _) = state else { return }
            if case .stopProducing = source.yield(buffer) { paused = true }
        case .end: receivedEnd(context: context)
        }
    }

    private func received(_ head: HTTPResponseHead, context: ChannelHandlerContext) {
        // 1xx answers come before the real one.
        guard case .awaiting(let exchange, let timer) = state, head.status.code >= 200 else { return }
        timer?.cancel()
        let flow = ResponseFlow(handler: NIOLoopBound(self, eventLoop: context.eventLoop), eventLoop: context.eventLoop)
        let producer = ResponseBody.Producer.self
        let made = producer.makeSequence(
            elementType: ByteBuffer.self, failureType: (any Error).self,
            backPressureStrategy: .init(lowWatermark: 4, highWatermark: 16), finishOnDeinit: true, delegate: flow)
        let body = ResponseBody(buffers: made.sequence)
        state = .receiving(exchange, made.source, reusable: head.isKeepAlive)
        exchange.answer.succeed(HTTPResponse(status: Int(head.status.code), headers: head.headers, body: body))
    }

    private func receivedEnd(context: ChannelHandlerContext) {
        guard case .receiving(let exchange, let source, let reusable) = state else { return }
        paused = false
        if reusable && requestEnded {
            state = .idle
            exchange.release()
        } else {
            state = .closed
            context.close(promise: nil)
        }
        source.finish()
    }

    func read(context: ChannelHandlerContext) {
        if paused { readIsPending = true } else { context.read() }
    }

    /// The reader of the body wants more.
    func resume() {
        guard paused else { return }
        paused = false
        if readIsPending {
            readIsPending = false
            context?.read()
        }
    }

    /// The reader of the body went away: what is left of the answer is not wanted.
    func abandon() {
        guard case .receiving = state else { return }
        context?.close(promise: nil)
    }

    // MARK: Ending

    func channelInactive(context: ChannelHandlerContext) {
        let before = state
        state = .closed
        switch before {
        case .idle, .closed: break
        case .awaiting(let exchange, let timer):
            timer?.cancel()
            exchange.answer.fail(failure ?? ConnectionLost(beforeAnswer: true, cause: nil))
        case .receiving(_, let source, _):
            source.finish(failure ?? ConnectionLost(beforeAnswer: false, cause: nil))
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if failure == nil { failure = ConnectionLost(beforeAnswer: isAwaiting, cause: error) }
        context.close(promise: nil)
    }

    private var isAwaiting: Bool {
        if case .awaiting = state { true } else { false }
    }
}

/// Connects the reader of a body with the connection that it comes from.
final class ResponseFlow: NIOAsyncSequenceProducerDelegate {
    private let handler: NIOLoopBound<ExchangeHandler>
    private let eventLoop: any EventLoop

    init(handler: NIOLoopBound<ExchangeHandler>, eventLoop: any EventLoop) {
        self.handler = handler
        self.eventLoop = eventLoop
    }

    func produceMore() {
        let handler = handler
        eventLoop.execute { handler.value.resume() }
    }

    func didTerminate() {
        let handler = handler
        eventLoop.execute { handler.value.abandon() }
    }
}

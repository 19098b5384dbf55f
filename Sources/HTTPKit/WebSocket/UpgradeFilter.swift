internal import Access
internal import HTTPTypes
public import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
internal import SandboxModel
internal import Synchronization

/// Serves one WebSocket; the socket is closed when it returns or throws.
public typealias WebSocketHandler = @Sendable (WebSocketConnection) async throws -> Void

/// Where a route puts its handler when it accepts a WebSocket.
final class UpgradeOffer: Sendable {
    private let accepted = Mutex<(handler: WebSocketHandler, headers: HTTPHeaders)?>(nil)

    var handler: WebSocketHandler? { accepted.withLock { $0?.handler } }
    var headers: HTTPHeaders? { accepted.withLock { $0?.headers } }

    func accept(_ handler: @escaping WebSocketHandler, requestID: String) {
        accepted.withLock { $0 = (handler, ["X-Request-ID": requestID]) }
    }
}

extension APIContext {
    /// Whether the request asks for a WebSocket and can have one.
    public var isWebSocket: Bool { upgrade != nil }

    /// Accepts a WebSocket; to be called when nothing can be refused any more.
    ///
    /// - Throws: ``SandboxError`` with `upgrade_required` if the request is not a WebSocket handshake.
    public func acceptWebSocket(_ handler: @escaping WebSocketHandler) throws -> Response {
        guard let upgrade else {
            throw SandboxError(
                .upgradeRequired, "This path speaks WebSocket.",
                hint: "open it as a WebSocket (version 13), as the first request of a connection")
        }
        let lease = try openStream()
        upgrade.accept(
            { socket in
                defer { withExtendedLifetime(lease) {} }
                try await handler(socket)
            }, requestID: requestID)
        return Response(status: .switchingProtocols)
    }
}

/// Decides about the first request of a connection before NIO's upgrade handler sees it.
///
/// That handler forgets the head of a request whose upgrade nobody accepts, so it may see an `Upgrade` header only when
/// a route has accepted already. Anything else (h2c, a malformed handshake) loses its `Upgrade` header here and goes on
/// as plain HTTP; a WebSocket that a route refuses is answered here, in the ordinary form.
final class UpgradeFilter: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    let offer = UpgradeOffer()
    private let responder: APIResponder
    private let connection: Connection
    private let firstHead: TimeAmount
    private var timer: Scheduled<Void>?
    private var sawFirst = false
    /// Parts that arrived while a route decides. Reading is paused meanwhile, so there are few.
    private var held: [NIOAny]?
    private var refused = false

    init(responder: APIResponder, connection: Connection, firstHead: TimeAmount) {
        self.responder = responder
        self.connection = connection
        self.firstHead = firstHead
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: firstHead) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func read(context: ChannelHandlerContext) {
        if held == nil { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !refused else { return }
        if held != nil {
            held?.append(data)
            return
        }
        guard case .head(var head) = unwrapInboundIn(data) else {
            context.fireChannelRead(data)
            return
        }
        if let problem = RequestCheck.problem(head) {
            errorCaught(context: context, error: AmbiguousRequest(problem: problem))
            refused = true
            return
        }
        timer?.cancel()
        let isFirst = !sawFirst
        sawFirst = true
        if isFirst, Self.isHandshake(head) {
            held = [data]
            decide(context, head)
            return
        }
        if head.headers.contains(name: "Upgrade") {
            // NIO's decoder reads no further after such a head: this is the connection's last request.
            head.headers.remove(name: "Upgrade")
            head.headers.replaceOrAdd(name: "Connection", value: "close")
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// Who has asked for nothing yet is no reason to wait when the server ends.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !sawFirst { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    /// A first head that cannot be parsed finds nobody else who could answer.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !sawFirst, ErrorResponse.isUnreadable(error) else {
            context.fireErrorCaught(error)
            return
        }
        sawFirst = true
        timer?.cancel()
        refuse(context, ErrorResponse.response(toUnreadable: error))
    }

    /// A GET with a complete version-13 handshake and without a body.
    static func isHandshake(_ head: HTTPRequestHead) -> Bool {
        let headers = head.headers
        let keys = headers[canonicalForm: "Sec-WebSocket-Key"]
        return head.method == .GET
            && headers[canonicalForm: "Upgrade"].map { $0.lowercased() } == ["websocket"]
            && headers[canonicalForm: "Connection"].contains { $0.lowercased() == "upgrade" }
            && headers[canonicalForm: "Sec-WebSocket-Version"] == ["13"]
            && keys.count == 1 && Base64.decode(String(keys[0]))?.count == 16
            && (headers["Content-Length"].isEmpty || headers["Content-Length"] == ["0"])
            && headers["Transfer-Encoding"].isEmpty
    }

    private func decide(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        guard let http = try? HTTPRequest(head, secure: false, splitCookie: false) else {
            context.close(promise: nil)
            return
        }
        let (responder, connection, offer) = (responder, connection, offer)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.makeFutureWithTask {
            await responder.respond(
                to: Request(head: http, body: RequestBody(buffer: ByteBuffer())), connection: connection, output: nil,
                upgrade: offer)
        }.whenSuccess { response in
            let (filter, context) = bound.value
            if offer.handler != nil {
                filter.release(context)
            } else {
                filter.refuse(context, response)
            }
        }
    }

    private func release(_ context: ChannelHandlerContext) {
        let parts = held ?? []
        let channel = context.channel
        held = nil
        for part in parts { context.fireChannelRead(part) }
        // This handler may have left the pipeline by now.
        channel.pipeline.fireChannelReadComplete()
        channel.read()
    }

    private func refuse(_ context: ChannelHandlerContext, _ response: Response) {
        held = nil
        refused = true
        let channel = context.channel
        var head = HTTPResponseHead(response.head)
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        head.headers.replaceOrAdd(name: "Date", value: HTTPDate.now)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let plainHead = head
        context.eventLoop.makeFutureWithTask {
            let collected = CollectedBody()
            try await response.body.write(collected)
            return collected.buffers
        }.whenComplete { result in
            let (_, context) = bound.value
            context.write(Self.wrapOutboundOut(.head(plainHead)), promise: nil)
            for buffer in (try? result.get()) ?? [] {
                context.write(Self.wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
            }
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).whenComplete { _ in
                channel.close(mode: .output, promise: nil)
                channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
            }
            context.read()
        }
    }
}

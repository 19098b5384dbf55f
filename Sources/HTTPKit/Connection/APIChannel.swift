internal import Hummingbird
public import HummingbirdCore
public import Logging
public import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import NIOPosix
internal import NIOWebSocket

#if canImport(Glibc)
internal import Glibc
#endif

/// Bounds of a connection.
public struct ConnectionLimits: Sendable {
    /// Bytes of one header field, and of the request line.
    public var headerField = 32 * 1024
    /// Bytes of all header fields.
    public var headerList = 64 * 1024
    public var headerCount = 128
    /// How long a connection may idle, and how long a request's head may take.
    public var idle: TimeAmount = .seconds(75)
    public var firstHead: TimeAmount = .seconds(15)
    /// Bytes a second that a request's body must bring while this side wants to read.
    public var leastRate = 512
    /// A body that is slower for so many intervals in a row is given up; so is an answer of which nothing is taken.
    public var paceInterval: TimeAmount = .seconds(5)
    public var paceIntervals = 6
    /// Bytes of one WebSocket message.
    public var webSocketMessage = 1 << 20
    /// How often a WebSocket peer is asked whether it is there; it is cut off after two silent intervals.
    public var webSocketPing: TimeAmount = .seconds(20)
    /// Pings and pongs of a peer in one second; more end the WebSocket.
    public var webSocketControlFrames = 100
    /// Frames of a peer in one second, on average; more are read later. At once come a second's worth, and what fits into
    /// ``webSocketRead``.
    public var webSocketFrames = 2000
    /// Bytes that are read from a WebSocket at once: tiny frames in a large read would keep others waiting.
    public var webSocketRead = 16 * 1024
    public init() {}
}

/// All places for connections are taken by busy ones.
struct NoPlace: Error {}

/// HTTP/1.1 and WebSocket on one socket.
///
/// Only the first request of a connection can become a WebSocket. It is answered by the ordinary route (so routing,
/// authentication and errors are the same); a route that accepts leaves a handler in the ``UpgradeOffer``.
public struct APIChannel: ServerChildChannel {
    let responder: APIResponder
    let listener: Listener
    let limits: ConnectionLimits
    let table: ConnectionTable

    /// - Parameter table: Bounds the connections; several listeners may share one.
    public init(
        responder: APIResponder, listener: Listener, limits: ConnectionLimits = .init(),
        table: ConnectionTable = ConnectionTable(limit: 8192)
    ) {
        self.responder = responder
        self.listener = listener
        self.limits = limits
        self.table = table
    }

    /// A connection whose protocol is decided by its first request.
    public struct Value: ServerChildChannelValue {
        public let channel: any Channel
        let connection: Connection
        let negotiated: EventLoopFuture<Negotiated>
    }

    enum Negotiated: Sendable {
        case http(HTTPLoop.Channel)
        case webSocket(WebSocketLoop.Channel, WebSocketHandler)
    }

    public func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            // Most of what a connection costs comes after this. One that was reset while it waited to be accepted is not
            // worth it, and whoever makes thousands of those would make everybody else wait.
            if listener == .tcp, Self.isReset(channel) {
                channel.close(promise: nil)
                throw ChannelError.ioOnClosedChannel
            }
            let connection = try connection(of: channel)
            let pace = PaceHandler(limits: limits)
            let pipeline = channel.pipeline.syncOperations
            let filter = UpgradeFilter(responder: responder, connection: connection, firstHead: limits.firstHead)
            let encoder = HTTPResponseEncoder()
            var decoderLimits = NIOHTTPDecoderLimitConfiguration()
            decoderLimits.maxHeaderFieldSize = limits.headerField
            decoderLimits.maxHeaderListSize = limits.headerList
            decoderLimits.maxHeaderFieldCount = limits.headerCount
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoderLimits))
            try pipeline.addHandler(ConnectionHandler(connection: connection))
            try pipeline.addHandler(encoder)
            try pipeline.addHandler(decoder)
            try pipeline.addHandler(pace)
            try pipeline.addHandler(filter)
            let upgrade = NIOTypedHTTPServerUpgradeHandler<Negotiated>(
                httpEncoder: encoder, extraHTTPHandlers: [decoder, pace, filter],
                upgradeConfiguration: .init(upgraders: [upgrader(filter.offer)]) { channel in
                    channel.eventLoop.makeCompletedFuture { try self.configureHTTP(channel, logger) }
                })
            try pipeline.addHandler(upgrade)
            return Value(channel: channel, connection: connection, negotiated: upgrade.upgradeResultFuture)
        }
    }

    /// Whether the peer has reset the connection already.
    private static func isReset(_ channel: any Channel) -> Bool {
        guard let socket = channel as? any SocketOptionProvider else { return false }
        let error = NIOLoopBoundBox<CInt>(0, eventLoop: channel.eventLoop)
        // On the channel's own event loop this is done at once.
        socket.unsafeGetSocketOption(level: .socket, name: .so_error)
            .assumeIsolated().whenSuccess { (value: CInt) in error.value = value }
        return error.value != 0
    }

    private func connection(of channel: any Channel) throws -> Connection {
        let cut: @Sendable () -> Void = { channel.close(promise: nil) }
        // Without a place the connection is closed by this error.
        guard let place = table.add(cut: cut) else { throw NoPlace() }
        guard listener == .unix else {
            let remote = channel.remoteAddress
            return Connection(
                listener: .tcp, address: remote?.ipAddress ?? "unknown", port: remote?.port, place: place, cut: cut)
        }
        let connection = Connection(listener: .unix, address: "unix", place: place, cut: cut)
        if let socket = channel as? any SocketOptionProvider {
            socket.unsafeGetSocketOption(level: .socket, name: .init(rawValue: SO_PEERCRED))
                .whenSuccess { (credentials: PeerCredentials) in connection.note(peer: credentials) }
        }
        return connection
    }

    public func handle(value: Value, logger: Logger) async {
        guard let negotiated = try? await value.negotiated.get() else {
            value.channel.close(promise: nil)
            return
        }
        switch negotiated {
        case .http(let channel):
            await HTTPLoop(responder: responder, connection: value.connection, logger: logger).run(channel)
        case .webSocket(let channel, let handler):
            await WebSocketLoop(connection: value.connection, logger: logger).run(channel, handler)
        }
    }

    private func configureHTTP(_ channel: any Channel, _ logger: Logger) throws -> Negotiated {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
        let idle = Duration.nanoseconds(limits.idle.nanoseconds)
        try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: idle, logger: logger))
        return .http(
            try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
    }

    private func upgrader(_ offer: UpgradeOffer) -> NIOTypedWebSocketServerUpgrader<Negotiated> {
        NIOTypedWebSocketServerUpgrader(
            maxFrameSize: limits.webSocketMessage,
            enableAutomaticErrorHandling: false,
            // The filter lets a request through only when a route has accepted it.
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(offer.headers) },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    guard let handler = offer.handler else { throw ChannelError.inappropriateOperationForState }
                    let pipeline = channel.pipeline.syncOperations
                    try channel.syncOptions?.setOption(
                        .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: limits.webSocketRead))
                    try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
                    try pipeline.addHandler(MaskCheck(framesPerSecond: limits.webSocketFrames))
                    try pipeline.addHandler(
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1024,
                            maxAccumulatedFrameSize: limits.webSocketMessage))
                    try pipeline.addHandler(WebSocketMessageHandler(limits: limits))
                    return .webSocket(try NIOAsyncChannel(wrappingChannelSynchronously: channel), handler)
                }
            })
    }
}

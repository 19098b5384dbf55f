internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import SandboxModel
internal import Synchronization

/// Kept-alive connections to one server.
final class ConnectionPool: Sendable {
    private struct State {
        var idle: [any Channel] = []
        var isClosed = false
    }

    /// More connections than this are not kept when they become idle.
    private static let maximumIdle = 64

    let configuration: ClientConfiguration
    let group: any EventLoopGroup
    private let state = Mutex(State())

    init(configuration: ClientConfiguration, group: any EventLoopGroup) {
        self.configuration = configuration
        self.group = group
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// A request that is safe to repeat is tried once more if a kept-alive connection turned out to be gone.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        do {
            guard let kept = takeIdle() else { return try await exchange(request, on: try await connect()) }
            do {
                return try await exchange(request, on: kept)
            } catch let lost as ConnectionLost where lost.beforeAnswer && request.isReplayable {
                return try await exchange(request, on: try await connect())
            }
        } catch let lost as ConnectionLost {
            throw Self.error(for: lost)
        }
    }

    /// Closes the idle connections; those in use close when they become idle.
    func close() async {
        let idle = state.withLock { state in
            state.isClosed = true
            defer { state.idle = [] }
            return state.idle
        }
        for channel in idle { try? await channel.close() }
    }

    static func error(for lost: ConnectionLost) -> SandboxError {
        SandboxError(
            .unavailable, "The connection to the server was lost.",
            hint: "the server may be restarting; try again", cause: lost.cause ?? lost)
    }

    private func takeIdle() -> (any Channel)? {
        state.withLock { state in
            while let channel = state.idle.popLast() {
                if channel.isActive { return channel }
            }
            return nil
        }
    }

    private func keep(_ channel: any Channel) {
        let refused = state.withLock { state in
            if state.isClosed || state.idle.count >= Self.maximumIdle { return true }
            state.idle.append(channel)
            return false
        }
        if refused { channel.close(promise: nil) }
    }

    private func connect() async throws -> any Channel {
        try await connect { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                try channel.pipeline.syncOperations.addHandler(ExchangeHandler())
            }.map { channel }
        }
    }

    /// Connects and sets the pipeline up.
    func connect<Result: Sendable>(
        _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Result>
    ) async throws -> Result {
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.init(configuration.connectTimeout))
            .channelOption(.maxMessagesPerRead, value: 4)
        do {
            switch configuration.endpoint {
            case .unixSocket(let path):
                return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialize)
            case .tcp(let host, let port):
                return try await bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: host, port: port, channelInitializer: initialize)
            }
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(error)
        }
    }

    private func unreachable(_ cause: any Error) -> SandboxError {
        if let error = cause as? IOError, error.errnoCode == 13 {
            return SandboxError(
                .permissionDenied, "The server's socket may not be used by this user (\(configuration.endpoint)).",
                hint: "run as root, or set NIGHTJAR_URL=http://127.0.0.1:7575 and NIGHTJAR_API_KEY", cause: cause)
        }
        return SandboxError(
            .unavailable, "No server answers at \(configuration.endpoint).",
            hint: "start one with `nightjar serve`, or set NIGHTJAR_URL", cause: cause)
    }

    private func exchange(_ request: HTTPRequest, on channel: any Channel) async throws -> HTTPResponse {
        let answer = channel.eventLoop.makePromise(of: HTTPResponse.self)
        var exchange = Exchange(
            head: head(of: request), body: .whole(nil), timeout: request.responseTimeout.map { TimeAmount($0) },
            answer: answer, release: { [self] in keep(channel) })
        return try await withTaskCancellationHandler {
            switch request.body {
            case .none: break
            case .bytes(let buffer): exchange.body = .whole(buffer)
            case .stream(_, let pieces):
                exchange.body = .streamed
                return try await upload(exchange, pieces, on: channel)
            }
            begin(exchange, on: channel)
            return try await answer.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    private func begin(_ exchange: Exchange, on channel: any Channel) {
        let sent = channel.eventLoop.makePromise(of: Void.self)
        // Once the request is under way, the handler tells of a loss; a channel that was closed before has none.
        sent.futureResult.whenFailure { exchange.answer.fail(ConnectionLost(beforeAnswer: true, cause: $0)) }
        channel.writeAndFlush(ExchangeCommand.begin(exchange), promise: sent)
    }

    /// Sends the body while waiting for the answer, which may come early: an error that makes the rest pointless.
    private func upload(
        _ exchange: Exchange, _ pieces: BodyStream, on channel: any Channel
    ) async throws -> HTTPResponse {
        begin(exchange, on: channel)
        return try await withThrowingTaskGroup(of: HTTPResponse?.self) { group in
            group.addTask {
                do {
                    try await pieces.forEach { try await channel.writeAndFlush(ExchangeCommand.body($0)) }
                    try await channel.writeAndFlush(ExchangeCommand.end)
                } catch is ChannelError {
                    // The answer, or the loss of the connection, says more.
                } catch is IOError {
                } catch is CancellationError {
                } catch {
                    channel.close(promise: nil)
                    throw error
                }
                return nil
            }
            group.addTask { try await exchange.answer.futureResult.get() }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw ConnectionLost(beforeAnswer: true, cause: nil)
        }
    }

    /// The request line and headers, with those that every request has.
    func head(of request: HTTPRequest) -> HTTPRequestHead {
        var headers = request.headers
        headers.replaceOrAdd(name: "Host", value: configuration.endpoint.authority)
        headers.replaceOrAdd(name: "User-Agent", value: "nightjar/\(NightjarVersion.current)")
        if let key = configuration.apiKey { headers.replaceOrAdd(name: "Authorization", value: "Bearer \(key)") }
        switch request.body {
        case .none:
            if request.method == .POST || request.method == .PUT || request.method == .PATCH {
                headers.replaceOrAdd(name: "Content-Length", value: "0")
            }
        case .bytes(let buffer): headers.replaceOrAdd(name: "Content-Length", value: "\(buffer.readableBytes)")
        case .stream(let length?, _): headers.replaceOrAdd(name: "Content-Length", value: "\(length)")
        case .stream(nil, _): headers.replaceOrAdd(name: "Transfer-Encoding", value: "chunked")
        }
        return HTTPRequestHead(version: .http1_1, method: request.method, uri: request.target, headers: headers)
    }
}

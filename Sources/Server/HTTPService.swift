internal import HTTPKit
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import SandboxModel
internal import ServiceLifecycle
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#endif

/// The server's sockets. At a graceful shutdown all of them close at once, and requests under way get a few seconds to end.
struct HTTPService: Service {
    /// One place to listen on.
    struct Socket {
        let listener: Listener
        let address: BindAddress
        /// For messages.
        let name: String
    }

    let responder: APIResponder
    let sockets: [Socket]
    let bound: BoundPorts
    let logger: Logger

    private static let drain = Duration.seconds(5)
    /// Connections of a listener; less if there are few descriptors, which sandboxes need as well.
    static var maximumConnections: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 512 }
        return Int(min(8192, limit.rlim_cur / 4))
    }

    /// Who ended.
    private enum End {
        case socket, patience
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: End.self) { group in
            for socket in sockets {
                group.addTask {
                    try await listen(socket)
                    return .socket
                }
            }
            group.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: Self.drain)
                return .patience
            }
            defer { group.cancelAll() }
            var open = sockets.count
            while let end = try await group.next(), end == .socket {
                open -= 1
                // A socket that closes before the server is told to end is the end of the service.
                if open == 0 || !Task.isShuttingDownGracefully { break }
            }
        }
    }

    private func listen(_ socket: Socket) async throws {
        let server = HummingbirdCore.Server(
            childChannelSetup: APIChannel(
                responder: responder, listener: socket.listener,
                table: ConnectionTable(limit: Self.maximumConnections)),
            configuration: HummingbirdCore.ServerConfiguration(address: socket.address, backlog: 1024),
            onServerRunning: { channel in bound.note(socket.listener, port: channel.localAddress?.port) },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quietLogger)
        do {
            try await server.run()
        } catch {
            throw ListenSockets.explain(error, socket.name)
        }
    }

    /// The framework tells of starts and ends in its own words; the server does that itself, and reports what fails.
    private var quietLogger: Logger {
        var logger = logger
        logger.logLevel = .critical
        return logger
    }
}

/// Which sockets are open, for the line that says so.
final class BoundPorts: Sendable {
    private let state = Mutex<[Listener: Int]>([:])

    func note(_ listener: Listener, port: Int?) { state.withLock { $0[listener] = port ?? 0 } }
    var count: Int { state.withLock { $0.count } }
    var port: Int? { state.withLock { $0[.tcp] } }
}

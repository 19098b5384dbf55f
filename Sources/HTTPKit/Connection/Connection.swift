internal import Access
internal import NIOCore
internal import SandboxModel
internal import Synchronization

/// Through which of the server's sockets a connection came. This decides about authentication; no header can.
public enum Listener: String, Sendable {
    case tcp
    /// Whoever can open the socket file may do everything.
    case unix
}

/// What the kernel says of the process at the other end of a Unix socket, in the layout of `struct ucred`.
struct PeerCredentials: Sendable {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
}

/// What a request's handler may want to know of the connection it came by.
public final class Connection: Sendable {
    /// Why a long answer should end early.
    enum Signal: Int {
        /// The server is shutting down.
        case quiescing = 0
        /// The peer closed its side.
        case closed = 1
    }

    private struct State {
        var reached: Set<Int> = []
        var waiters: [Int: (signals: Set<Int>, wake: AsyncStream<Void>.Continuation)] = [:]
        var nextWaiter = 0
    }

    public let listener: Listener
    /// The peer's address without its port; `unix` for the Unix socket.
    let address: String
    private let port: Int?
    private let peer = Mutex<PeerCredentials?>(nil)
    private let cut: @Sendable () -> Void
    /// Its place among all connections.
    let place: ConnectionTable.Place?
    private let state = Mutex(State())

    init(
        listener: Listener, address: String, port: Int? = nil, place: ConnectionTable.Place? = nil,
        cut: @escaping @Sendable () -> Void = {}
    ) {
        self.listener = listener
        self.address = address
        self.port = port
        self.place = place
        self.cut = cut
    }

    /// The peer, for the log: an address with its port, or the user and process behind a Unix socket.
    public var remote: String {
        if let peer = peer.withLock({ $0 }) { return "unix uid=\(peer.uid) pid=\(peer.pid)" }
        guard let port else { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    func note(peer credentials: PeerCredentials) { peer.withLock { $0 = credentials } }

    /// Whoever opened the Unix socket.
    var localPrincipal: Principal {
        let peer = peer.withLock { $0 }
        return .local(uid: peer?.uid, pid: peer?.pid)
    }

    /// Closes it at once.
    func cutOff() { cut() }

    func raise(_ signal: Signal) {
        let woken = state.withLock { state in
            state.reached.insert(signal.rawValue)
            let hit = state.waiters.filter { $0.value.signals.contains(signal.rawValue) }
            for key in hit.keys { state.waiters[key] = nil }
            return hit.values.map(\.wake)
        }
        for wake in woken { wake.finish() }
    }

    func hasReached(_ signal: Signal) -> Bool { state.withLock { $0.reached.contains(signal.rawValue) } }

    /// Returns when one of the signals has been raised, or when the task is cancelled.
    func wait(for signals: [Signal]) async {
        let (stream, wake) = AsyncStream.makeStream(of: Void.self)
        let wanted = Set(signals.map(\.rawValue))
        let number = state.withLock { state -> Int? in
            guard state.reached.isDisjoint(with: wanted) else { return nil }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = (wanted, wake)
            return state.nextWaiter
        }
        guard let number else { return }
        for await _ in stream {}
        _ = state.withLock { $0.waiters.removeValue(forKey: number) }
    }

    /// Runs `body`, and cancels it when the peer goes away (or, if asked, when the server shuts down).
    ///
    /// - Parameters:
    ///   - endsAtShutdown: `true` for answers without an end of their own, which would hold up a graceful shutdown.
    ///   - body: Must react to cancellation.
    /// - Throws: What `body` throws; ``SandboxError`` with `cancelled` if it was cut short.
    public func whileOpen<R: Sendable>(
        endsAtShutdown: Bool, _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        let signals: [Signal] = endsAtShutdown ? [.closed, .quiescing] : [.closed]
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                await self.wait(for: signals)
                return nil
            }
            defer { group.cancelAll() }
            if let first = try await group.next(), let result = first { return result }
            group.cancelAll()
            if let last = try await group.next(), let result = last { return result }
            throw SandboxError(.cancelled, "The connection was closed before the answer was complete.")
        }
    }
}

/// Watches a channel's life for its ``Connection``; stays in the pipeline when the protocol changes.
final class ConnectionHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = Never
    private let connection: Connection

    init(connection: Connection) { self.connection = connection }

    func channelInactive(context: ChannelHandlerContext) {
        connection.place?.leave()
        connection.raise(.closed)
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            connection.raise(.quiescing)
        } else if let event = event as? ChannelEvent, event == .inputClosed {
            connection.raise(.closed)
        }
        context.fireUserInboundEventTriggered(event)
    }
}

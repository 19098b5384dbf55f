internal import CLinux
internal import Glibc
internal import Wire

/// The host's services on the guest's loopback: every connection becomes a stream to the host.
final class HostServices {
    private struct Listener {
        var service: HostService
        var socket: Int32
        var token: EventLoop.Token
    }

    static let maximumConnections = 256
    private static let maximumServices = 64

    private let loop: EventLoop
    private let channel: Channel
    private var listeners: [Listener] = []
    private var connections = 0

    init(loop: EventLoop, channel: Channel) {
        self.loop = loop
        self.channel = channel
    }

    /// Replaces what is offered; established connections go on. On an error nothing has changed.
    func replace(with services: [HostService]) throws(WireStatus) {
        guard services.count <= HostServices.maximumServices else {
            throw WireStatus(.tooLarge, "At most \(HostServices.maximumServices) services are offered")
        }
        guard Set(services.map(\.port)).count == services.count, !services.contains(where: { $0.port == 0 }) else {
            throw WireStatus(.invalid, "Every service needs a port of its own")
        }
        var kept: [Listener] = []
        var added: [Listener] = []
        do throws(WireStatus) {
            for service in services {
                if var listener = listeners.first(where: { $0.service.port == service.port }) {
                    listener.service = service
                    kept.append(listener)
                } else {
                    added.append(try listen(service))
                }
            }
        } catch {
            for listener in added { close(listener) }
            throw error
        }
        for listener in listeners where !services.contains(where: { $0.port == listener.service.port }) {
            close(listener)
        }
        listeners = kept + added
    }

    private func listen(_ service: HostService) throws(WireStatus) -> Listener {
        let socket = nj_loopback_listen(service.port)
        guard socket >= 0 else {
            throw WireStatus(
                -socket == EADDRINUSE ? .exists : SystemError.code(-socket),
                "Cannot listen on port \(service.port) for \(Path.display(service.name)): \(SystemError.text(-socket))",
                errno: -socket)
        }
        let port = service.port
        guard let token = loop.add(socket, .read, { [unowned self] _ in accept(port) }) else {
            let error = errno
            Glibc.close(socket)
            throw SystemError.status(error, "The port \(port) cannot be watched")
        }
        return Listener(service: service, socket: socket, token: token)
    }

    private func close(_ listener: Listener) {
        loop.remove(listener.token, listener.socket)
        Glibc.close(listener.socket)
    }

    private func accept(_ port: UInt16) {
        guard let listener = listeners.first(where: { $0.service.port == port }) else { return }
        while true {
            let socket = nj_loopback_accept(listener.socket)
            guard socket >= 0 else { return }
            let connection = ServiceConnection(socket, loop: loop, channel: channel)
            guard connections < HostServices.maximumConnections, connection.begin(listener.service.name) else {
                Glibc.close(socket)
                continue
            }
            connections += 1
            connection.onEnd = { [unowned self] in connections -= 1 }
        }
    }
}

/// A connection that waits for the host to take it.
private final class ServiceConnection: StreamHandler {
    private static let timeoutMilliseconds: Int64 = 10_000

    private let socket: Int32
    private let loop: EventLoop
    private let channel: Channel
    private var stream: Stream?
    private var timer: EventLoop.Timer?
    private var early: [(bytes: [UInt8], end: Bool)] = []
    var onEnd: (() -> Void)?

    init(_ socket: Int32, loop: EventLoop, channel: Channel) {
        self.socket = socket
        self.loop = loop
        self.channel = channel
    }

    /// False if there is no host to ask.
    func begin(_ name: String) -> Bool {
        stream = channel.open(.serviceConnect(name: name), handler: self)
        guard stream != nil else { return false }
        timer = loop.after(milliseconds: ServiceConnection.timeoutMilliseconds) { [self] in
            if let stream { channel.close(stream, WireStatus(.cancelled, "The host did not answer in time")) }
            end()
        }
        return true
    }

    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) { early.append((bytes, end)) }

    func received(_ reply: Reply, on stream: Stream) {
        guard reply == .ok else { return }
        cancelTimer()
        let relay = Relay(socket, stream: stream, loop: loop, channel: channel)
        relay.onEnd = onEnd
        relay.begin()
        for piece in early { relay.receive(piece.bytes, end: piece.end, on: stream) }
    }

    func closed(_ stream: Stream) { end() }

    private func end() {
        cancelTimer()
        close(socket)
        onEnd?()
    }

    private func cancelTimer() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }
}

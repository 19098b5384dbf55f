internal import CLinux
internal import Glibc
internal import Wire

/// Connects to a port inside, first over IPv4, then over IPv6.
final class Dial: StreamHandler {
    private static let timeoutMilliseconds: Int64 = 5000

    private let port: UInt16
    private let stream: Stream
    private let loop: EventLoop
    private let channel: Channel
    private var socket: Int32 = -1
    private var token: EventLoop.Token?
    private var timer: EventLoop.Timer?
    private var isIPv6 = false
    /// What the host sent before the connection was there.
    private var early: [(bytes: [UInt8], end: Bool)] = []

    init(port: UInt16, stream: Stream, loop: EventLoop, channel: Channel) {
        self.port = port
        self.stream = stream
        self.loop = loop
        self.channel = channel
    }

    func begin() {
        stream.handler = self
        timer = loop.after(milliseconds: Dial.timeoutMilliseconds) { [self] in fail(ETIMEDOUT) }
        connect()
    }

    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) { early.append((bytes, end)) }

    func closed(_ stream: Stream) { forget(closing: true) }

    private func connect() {
        socket = nj_loopback_connect(port, isIPv6 ? 1 : 0)
        guard socket >= 0 else { return failed(-socket) }
        token = loop.add(socket, [.write]) { [unowned self] _ in connected() }
        if token == nil { failed(errno) }
    }

    private func connected() {
        let error = nj_socket_error(socket)
        guard error == 0 else { return failed(error) }
        let socket = socket
        forget(closing: false)
        channel.send(.ok, on: stream)
        let relay = Relay(socket, stream: stream, loop: loop, channel: channel)
        relay.begin()
        for piece in early { relay.receive(piece.bytes, end: piece.end, on: stream) }
    }

    private func failed(_ error: Int32) {
        if isIPv6 { return fail(error == EADDRNOTAVAIL || error == EAFNOSUPPORT ? ECONNREFUSED : error) }
        close()
        isIPv6 = true
        connect()
    }

    private func fail(_ error: Int32) {
        forget(closing: true)
        channel.close(
            stream,
            WireStatus(.refused, "Nothing answers on port \(port): \(SystemError.text(error))", errno: error))
    }

    private func forget(closing: Bool) {
        if let timer { loop.cancel(timer) }
        timer = nil
        if closing { return close() }
        if let token { loop.remove(token, socket) }
        token = nil
        socket = -1
    }

    private func close() {
        if let token { loop.remove(token, socket) }
        token = nil
        if socket >= 0 { Glibc.close(socket) }
        socket = -1
    }
}

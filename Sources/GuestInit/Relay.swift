internal import CLinux
internal import Glibc
internal import Wire

/// Carries bytes between a stream and a connected socket inside, each direction ending for itself.
final class Relay: StreamHandler {
    private struct Piece {
        var bytes: [UInt8]
        var written = 0
    }

    private let socket: Int32
    private let stream: Stream
    private let loop: EventLoop
    private let channel: Channel
    private var token: EventLoop.Token?
    private var toSocket = Queue<Piece>()
    private var socketEnded = false
    private var hostEnded = false
    private var isShutDown = false
    private var isOver = false
    /// Itself, while the stream is gone and bytes of the host still wait for the socket.
    private var lingering: Relay?
    /// Called once the socket is closed.
    var onEnd: (() -> Void)?

    /// Takes over the socket.
    init(_ socket: Int32, stream: Stream, loop: EventLoop, channel: Channel) {
        self.socket = socket
        self.stream = stream
        self.loop = loop
        self.channel = channel
    }

    func begin() {
        stream.handler = self
        token = loop.add(socket, [.read, .write, .edge]) { [weak self] _ in
            // Held for both calls: a relay that lingers gives up its last reference when all is written.
            guard let self else { return }
            flush()
            if !isOver { channel.ready(stream) }
        }
        guard token != nil else { return fail(errno) }
        channel.ready(stream)
    }

    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) {
        if hostEnded || isShutDown {
            channel.consumed(bytes.count, on: stream)
        } else if !bytes.isEmpty {
            toSocket.append(Piece(bytes: bytes))
        }
        if end { hostEnded = true }
        flush()
    }

    func produce(limit: Int, for stream: Stream) -> Produced {
        guard limit > 0, !socketEnded, !isOver else { return Produced(next: .wait) }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            count = retrying { read(socket, buffer.baseAddress, limit) }
            initialized = max(0, count)
        }
        if count > 0 { return Produced(bytes: bytes, next: .again) }
        if count < 0 {
            let error = errno
            if error == EAGAIN { return Produced(next: .wait) }
            dispose()
            return Produced(next: .close(SystemError.status(error, "The connection broke")))
        }
        socketEnded = true
        let isLast = hostEnded && toSocket.isEmpty
        if isLast { dispose() }
        return Produced(flags: .end, next: isLast ? .close(.ok) : .wait)
    }

    /// A close right behind the host's end takes nothing back: what the host sent before still goes to the socket.
    func closed(_ stream: Stream) {
        guard hostEnded, !isShutDown, !isOver else { return dispose() }
        lingering = self
        flush()
    }

    private func flush() {
        while !isOver, var piece = toSocket.first {
            let count = piece.bytes.withUnsafeBytes { bytes in
                retrying { write(socket, bytes.baseAddress.map { $0 + piece.written }, bytes.count - piece.written) }
            }
            if count < 0 {
                if errno == EAGAIN { return }
                // The program inside reads no more; what it still says is passed on.
                if lingering != nil { return dispose() }
                isShutDown = true
                while let dropped = toSocket.popFirst() {
                    channel.consumed(dropped.bytes.count - dropped.written, on: stream)
                }
                return
            }
            piece.written += count
            if piece.written == piece.bytes.count { _ = toSocket.popFirst() } else { toSocket.replaceFirst(piece) }
            channel.consumed(count, on: stream)
        }
        guard hostEnded, !isOver else { return }
        if !isShutDown {
            isShutDown = true
            shutdown(socket, Int32(SHUT_WR))
        }
        // Both have ended and the host ended last, so it closes the stream; the socket is not needed until then.
        if socketEnded || lingering != nil { dispose() }
    }

    private func fail(_ error: Int32) {
        dispose()
        channel.close(stream, SystemError.status(error, "The connection broke"))
    }

    private func dispose() {
        guard !isOver else { return }
        isOver = true
        toSocket.removeAll()
        if let token { loop.remove(token, socket) }
        token = nil
        close(socket)
        onEnd?()
        onEnd = nil
        lingering = nil
    }
}

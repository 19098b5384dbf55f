internal import Glibc
internal import Wire

/// What the host writes to a process, until the process takes it.
final class ProcessInput {
    private struct Piece {
        var stream: Stream
        var bytes: [UInt8]
        var written = 0
    }

    /// Input of streams that are gone is still delivered, but not without bound.
    private static let maximumPending = 1 << 20
    /// Ctrl-D: what "end of input" is on a terminal.
    private static let endOfTransmission: UInt8 = 4

    private let descriptor: Int32
    private let isTerminal: Bool
    private let loop: EventLoop
    private let channel: Channel
    private var token: EventLoop.Token?
    private var pieces = Queue<Piece>()
    private var pending = 0
    private var closing = false
    private var isClosed = false
    private var retryIsDue = false

    init(_ descriptor: Int32, isTerminal: Bool, loop: EventLoop, channel: Channel) {
        self.descriptor = descriptor
        self.isTerminal = isTerminal
        self.loop = loop
        self.channel = channel
    }

    func begin() {
        // A terminal's master is watched for output already; should it ever be full, it is tried again by time.
        guard !isTerminal else { return }
        token = loop.add(descriptor, [.write, .edge]) { [unowned self] _ in flush() }
    }

    func write(_ bytes: [UInt8], end: Bool, from stream: Stream) {
        guard !isClosed, !closing, pending + bytes.count <= ProcessInput.maximumPending else {
            return channel.consumed(bytes.count, on: stream)
        }
        var bytes = bytes
        if end, isTerminal { bytes.append(ProcessInput.endOfTransmission) }
        if end, !isTerminal { closing = true }
        pending += bytes.count
        if !bytes.isEmpty { pieces.append(Piece(stream: stream, bytes: bytes)) }
        flush()
    }

    private func flush() {
        while !isClosed, var piece = pieces.first {
            let count = piece.bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + piece.written }, $0.count - piece.written)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                return retryTerminal()
            }
            // The process closed its input: what it does not want is dropped.
            guard count >= 0 else { return abandon() }
            pending -= count
            piece.written += count
            if piece.written == piece.bytes.count { _ = pieces.popFirst() } else { pieces.replaceFirst(piece) }
            channel.consumed(count, on: piece.stream)
        }
        if closing { abandon() }
    }

    private func retryTerminal() {
        guard isTerminal, !retryIsDue else { return }
        retryIsDue = true
        loop.after(milliseconds: 5) { [self] in
            retryIsDue = false
            flush()
        }
    }

    /// Drops what is left and closes the pipe.
    func abandon() {
        guard !isClosed else { return }
        isClosed = true
        while let piece = pieces.popFirst() { channel.consumed(piece.bytes.count - piece.written, on: piece.stream) }
        pending = 0
        guard !isTerminal else { return }
        if let token { loop.remove(token, descriptor) }
        token = nil
        close(descriptor)
    }
}

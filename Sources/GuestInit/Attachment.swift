internal import Wire

/// A stream that reads a process's output and, unless it observes, writes its input.
final class Attachment: StreamHandler {
    let isObserver: Bool
    let stream: Stream
    /// The offset of the next byte that it gets.
    private(set) var position: Int64
    private let process: GuestProcess
    /// Called when the host detached or is gone.
    var onDetach: (() -> Void)?

    init(process: GuestProcess, stream: Stream, position: Int64, isObserver: Bool) {
        self.process = process
        self.stream = stream
        self.position = position
        self.isObserver = isObserver
    }

    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) {
        if isObserver {
            process.discard(bytes.count, from: stream)
        } else {
            process.write(bytes, end: end, from: stream)
        }
    }

    func produce(limit: Int, for stream: Stream) -> Produced {
        if position < process.ring.start {
            process.detach(self)
            return Produced(
                next: .close(WireStatus(.behind, "The output was faster than its reader; attach again at an offset")))
        }
        var produced = Produced(next: .wait)
        if let piece = process.ring.read(at: position, limit: limit) {
            produced.bytes = piece.bytes
            if piece.isError { produced.flags = .stderr }
            position += Int64(piece.bytes.count)
            if !isObserver { process.advanced() }
        }
        if position < process.ring.end {
            produced.next = .again
        } else if process.isSettled, let exit = process.exit {
            process.detach(self)
            produced.next = .finish(.exited(exit))
        }
        return produced
    }

    func closed(_ stream: Stream) {
        process.detach(self)
        onDetach?()
    }
}

internal import NIOCore
internal import SandboxModel
internal import Wire

// What goes to the channel, and in which order.
extension SessionState {
    /// Queues a frame that needs no credit.
    mutating func queue(_ frame: Frame) {
        queuedRequests += frame.payload.count
        outbound.append(.frame(frame))
    }

    /// Queues a frame that the guest caused. Too many of them mean that it asks and does not read.
    mutating func answer(_ frame: Frame) throws(Violation) {
        guard queuedAnswers < Limits.queuedAnswers else {
            throw Violation("it does not read the answers that it causes")
        }
        queuedAnswers += 1
        outbound.append(.answer(frame))
    }

    mutating func enterRing(_ stream: StreamState) {
        guard !stream.inRing, stream.canSend else { return }
        stream.inRing = true
        ring.append(stream.id)
    }

    /// Moves bytes from the streams to the queue, a frame of each in turn, as far as the queue may grow.
    mutating func pump(_ effects: inout Effects) {
        while queuedData < Limits.queuedData, let id = ring.popFirst() {
            guard let stream = streams[id] else { continue }
            stream.inRing = false
            guard stream.canSend else { continue }
            sendPiece(of: stream, &effects)
            enterRing(stream)
        }
    }

    private mutating func sendPiece(of stream: StreamState, _ effects: inout Effects) {
        guard var write = stream.pending.popFirst() else { return }
        let count = min(write.bytes.count - write.offset, Frame.maximumPayload, stream.sendWindow)
        let isLast = write.offset + count == write.bytes.count
        let ends = isLast && write.end
        if count > 0 || ends {
            let whole = write.offset == 0 && isLast
            let payload = whole ? write.bytes : Array(write.bytes[write.offset..<(write.offset + count)])
            queuedData += count
            outbound.append(.frame(Frame(.data, stream: stream.id, flags: ends ? .end : [], payload: payload)))
        }
        stream.sendWindow -= count
        write.offset += count
        guard isLast else {
            stream.pending.prepend(write)
            return
        }
        if let continuation = write.continuation { effects.resume(continuation, .success(true)) }
        guard ends else {
            // A stalled upload goes on; the next stall has a deadline of its own.
            if stream.shape == .upload { stream.deadline = nil }
            return
        }
        stream.hostEnded = true
        failWriters(of: stream, with: .success(false), &effects)
        // Of a tunnel, the side that ends last closes.
        if stream.shape == .tunnel, stream.guestEnded { closeByHost(stream, .ok) }
    }

    /// Takes frames of about `limit` bytes off the queue, to be written at once. None: nobody drains any more.
    mutating func takeFrames(upTo limit: Int, _ effects: inout Effects) -> [Frame] {
        var frames: [Frame] = []
        var size = 0
        while size < limit, let item = outbound.popFirst() {
            guard let frame = settle(item) else { continue }
            size += frame.payload.count + Frame.headerSize + Frame.trailerSize
            frames.append(frame)
            if outbound.isEmpty { pump(&effects) }
        }
        pump(&effects)
        if frames.isEmpty { draining = false }
        return frames
    }

    private mutating func settle(_ item: Outgoing) -> Frame? {
        switch item {
        case .frame(let frame):
            if frame.kind == .data {
                queuedData -= frame.payload.count
            } else {
                queuedRequests -= frame.payload.count
            }
            return frame
        case .answer(let frame):
            queuedAnswers -= 1
            return frame
        case .credit(let id):
            guard let stream = streams[id] else { return nil }
            stream.creditQueued = false
            guard stream.closedBy == nil, !stream.guestEnded, stream.uncredited > 0 else { return nil }
            let amount = UInt32(clamping: stream.uncredited)
            stream.receiveWindow += Int(amount)
            stream.uncredited = 0
            var writer = WireWriter()
            writer.u32(amount)
            return Frame(.credit, stream: id, payload: writer.bytes)
        }
    }
}

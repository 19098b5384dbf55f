internal import NIOCore
internal import SandboxModel
internal import Wire

// What the host's callers do with streams.
extension SessionState {
    /// Takes a stream number. Nothing is sent before ``announce(_:payload:deadline:_:)``.
    mutating func reserve(_ shape: StreamState.Shape) throws(SandboxError) -> UInt32 {
        if let failure { throw failure }
        guard queuedRequests < Limits.queuedRequests else {
            throw SandboxError(
                .overloaded, "The sandbox does not take requests fast enough.",
                hint: "Try again later, or resume the sandbox anew.")
        }
        let id = nextStream
        let (next, overflow) = id.addingReportingOverflow(2)
        guard !overflow else { throw SandboxError(.unavailable, "The connection to the sandbox is used up.") }
        nextStream = next
        streams[id] = StreamState(id: id, shape: shape)
        openStreams += 1
        return id
    }

    /// Queues the request of a reserved stream. Does nothing if it was given up meanwhile.
    mutating func announce(_ id: UInt32, payload: [UInt8], deadline: NIODeadline?, _ effects: inout Effects) {
        guard failure == nil, let stream = streams[id], !stream.announced else { return }
        stream.announced = true
        setDeadline(deadline, of: stream, &effects)
        var offset = 0
        repeat {
            let end = min(offset + Frame.maximumPayload, payload.count)
            let part = offset == 0 && end == payload.count ? payload : Array(payload[offset..<end])
            queue(Frame(.open, stream: id, flags: end < payload.count ? .more : [], payload: part))
            offset = end
        } while offset < payload.count
    }

    /// Gives the next item to `reader`, now or when it comes; `nil` if the stream is closed and all was taken.
    ///
    /// - Parameter stall: When the stream is given up if nothing comes.
    mutating func take(
        _ id: UInt32, _ reader: CheckedContinuation<StreamItem?, any Error>, stall: NIODeadline?,
        _ effects: inout Effects
    ) {
        guard let stream = streams[id] else {
            effects.resume(reader, failure.map { .failure($0) } ?? .success(nil))
            return
        }
        if let item = stream.inbox.popFirst() {
            took(item, of: stream)
            effects.resume(reader, .success(item))
        } else if stream.closedBy != nil || (stream.shape == .tunnel && stream.guestEnded) {
            effects.resume(reader, .success(nil))
        } else if let failure {
            effects.resume(reader, .failure(failure))
        } else if stream.reader != nil || stream.collector != nil {
            effects.resume(reader, .failure(SandboxError(.invalidState, "Somebody else is reading this stream.")))
        } else {
            stream.reader = reader
            if let stall, !stream.guestEnded { setDeadline(stall, of: stream, &effects) }
        }
    }

    mutating func ping(
        _ id: UInt64, _ continuation: CheckedContinuation<Bool, any Error>, deadline: NIODeadline,
        _ effects: inout Effects
    ) {
        if let failure {
            effects.resume(continuation, .failure(failure))
            return
        }
        guard pings.count < Limits.pings else {
            effects.resume(continuation, .failure(SandboxError(.overloaded, "The sandbox does not answer pings.")))
            return
        }
        pings[id] = Ping(continuation: continuation, deadline: deadline)
        lowerDeadline(to: deadline, &effects)
        var writer = WireWriter()
        writer.u64(id)
        queue(Frame(.ping, stream: 0, payload: writer.bytes))
    }

    /// Accounts for an item that reached its consumer.
    mutating func took(_ item: StreamItem, of stream: StreamState) {
        switch item {
        case .message(let bytes):
            stream.heldMessageBytes -= bytes.count
            heldMessages -= bytes.count
        case .data(let bytes, _):
            stream.uncredited += bytes.count
            guard stream.uncredited >= Frame.initialWindow / 2, !stream.creditQueued, !stream.guestEnded,
                stream.closedBy == nil, failure == nil
            else { return }
            stream.creditQueued = true
            outbound.append(.credit(stream.id))
        case .end, .closed: break
        }
    }

    /// Announces a stream whose output is gathered here until it ends, and queues its input.
    mutating func collect(
        _ id: UInt32, payload: [UInt8], input: [UInt8]?, deadline: NIODeadline, collector: Collector,
        _ effects: inout Effects
    ) {
        guard failure == nil, let stream = streams[id] else {
            let cancelled = SandboxError(.cancelled, "The request was cancelled.")
            effects.resume(collector.continuation, .failure(failure ?? cancelled))
            return
        }
        announce(id, payload: payload, deadline: deadline, &effects)
        stream.collector = collector
        guard let input else { return }
        stream.pending.append(PendingWrite(bytes: input, end: true, continuation: nil))
        enterRing(stream)
        pump(&effects)
    }

    /// Queues bytes as credit and turns allow. `writer` gets `true` once all are queued, `false` if the stream is closed.
    mutating func write(
        _ id: UInt32, _ bytes: [UInt8], end: Bool, _ writer: CheckedContinuation<Bool, any Error>,
        stall: NIODeadline?, _ effects: inout Effects
    ) {
        if let failure {
            effects.resume(writer, .failure(failure))
            return
        }
        guard let stream = streams[id], stream.closedBy == nil, !stream.hostEnded else {
            let repeatedEnd = streams[id]?.hostEnded == true && bytes.isEmpty && end
            effects.resume(writer, .success(repeatedEnd))
            return
        }
        stream.pending.append(PendingWrite(bytes: bytes, end: end, continuation: writer))
        enterRing(stream)
        pump(&effects)
        if let stall, !stream.pending.isEmpty || end { setDeadline(stall, of: stream, &effects) }
    }

    /// Forgets a stream, telling the guest if it does not know; who waits on it gets the error (or an ordinary end).
    mutating func abandon(_ id: UInt32, failing error: SandboxError?, status: WireStatus, _ effects: inout Effects) {
        guard id != 0, let stream = streams.removeValue(forKey: id) else { return }
        release(stream, failing: error, &effects)
        heldMessages -= stream.heldMessageBytes
        stream.heldMessageBytes = 0
        closeByHost(stream, status)
    }

    /// Ends a stream from this side, if nobody has. What arrived before stays readable.
    mutating func closeByHost(_ stream: StreamState, _ status: WireStatus) {
        guard stream.closedBy == nil else { return }
        markClosed(stream, by: .host)
        guard stream.announced, failure == nil else { return }
        lateBytes += stream.receiveWindow
        lateFrames += Limits.lateFrames
        queue(Frame(.close, stream: stream.id, payload: status.encoded()))
    }

    mutating func markClosed(_ stream: StreamState, by side: StreamState.Side) {
        guard stream.closedBy == nil else { return }
        stream.closedBy = side
        stream.deadline = nil
        if stream.isHosts {
            openStreams = max(0, openStreams - 1)
        } else if stream.id != 0 {
            guestStreams -= 1
        }
    }
}

internal import NIOCore
internal import SandboxModel
internal import Wire

// What the guest sends. Nothing of it is trusted: a breach throws, and the session ends.
extension SessionState {
    mutating func receive(_ frame: Frame, now: NIODeadline, _ effects: inout Effects) throws(Violation) {
        switch frame.kind {
        case .open: try receiveOpen(frame, &effects)
        case .ping:
            try countIdleFrame(now: now)
            try receivePing(frame)
        case .pong: try receivePong(frame, &effects)
        case .message:
            if let stream = try stream(of: frame) { try receiveMessage(frame, stream, now: now, &effects) }
        case .data:
            if let stream = try stream(of: frame) { try receiveData(frame, stream, now: now, &effects) }
        case .credit:
            if let stream = try stream(of: frame) { try receiveCredit(frame, stream, now: now, &effects) }
        case .close:
            if let stream = try stream(of: frame) { try receiveClose(frame, stream, &effects) }
        }
    }

    /// Frames cost the guest nothing, and the host time that others wait for. Those that bring something are bounded by
    /// windows or by requests of the host.
    private mutating func countIdleFrame(now: NIODeadline) throws(Violation) {
        if idleFrames == 0 {
            let passed = (now - idleFramesCounted).nanoseconds / 1_000_000
            idleFrames = Int(min(Int64(Limits.idleFrames), passed * Int64(Limits.idleFramesPerSecond) / 1000))
            idleFramesCounted = now
        }
        guard idleFrames > 0 else { throw Violation("too many frames that bring nothing") }
        idleFrames -= 1
    }

    /// The open stream that the frame belongs to; `nil` if the host closed it while the frame was under way.
    private mutating func stream(of frame: Frame) throws(Violation) -> StreamState? {
        let id = frame.stream
        if let stream = streams[id] {
            guard stream.announced else { throw Violation("stream \(id) is not open") }
            if stream.closedBy == nil { return stream }
            guard stream.closedBy == .host else { throw Violation("a frame on stream \(id), which it closed") }
        } else {
            let wasOpen = id & 1 == 1 ? id < nextStream : id <= latestGuestStream
            guard wasOpen else { throw Violation("stream \(id) was never opened") }
        }
        if frame.kind == .data {
            lateBytes -= frame.payload.count
            if frame.payload.isEmpty { lateFrames -= 1 }
        } else {
            lateFrames -= 1
        }
        guard lateBytes >= 0, lateFrames >= 0 else { throw Violation("too much on streams that are closed") }
        return nil
    }

    private mutating func receiveMessage(
        _ frame: Frame, _ stream: StreamState, now: NIODeadline, _ effects: inout Effects
    ) throws(Violation) {
        guard stream.messages < stream.messageLimit else {
            throw Violation("one reply too many on stream \(stream.id)")
        }
        guard stream.partial.count + frame.payload.count <= Frame.maximumMessage else {
            throw Violation("a reply of more than 4 MiB on stream \(stream.id)")
        }
        let isPart = frame.flags.contains(.more)
        guard !isPart || !frame.payload.isEmpty else { throw Violation("an empty part on stream \(stream.id)") }
        heldMessages += frame.payload.count
        stream.heldMessageBytes += frame.payload.count
        guard heldMessages <= Limits.heldMessages else { throw Violation("too many large replies at once") }
        if isPart {
            stream.partial.append(contentsOf: frame.payload)
            return
        }
        var bytes = frame.payload
        if !stream.partial.isEmpty {
            bytes = stream.partial + frame.payload
            stream.partial = []
        }
        stream.messages += 1
        stream.deadline = nil
        if let limit = stream.collector?.timeLimit { setDeadline(now + limit, of: stream, &effects) }
        let isFinal = frame.flags.contains(.final)
        if isFinal, stream.id != 0 { markClosed(stream, by: .guest) }
        deliver(.message(bytes), to: stream, &effects)
        if isFinal {
            failWriters(of: stream, with: .success(false), &effects)
        } else if stream.shape == .unary, stream.id != 0 {
            closeByHost(stream, .ok)
        }
    }

    private mutating func receiveData(
        _ frame: Frame, _ stream: StreamState, now: NIODeadline, _ effects: inout Effects
    ) throws(Violation) {
        guard stream.carriesData, stream.messages > 0 || !stream.isHosts else {
            throw Violation("data on stream \(stream.id), which has none now")
        }
        guard !stream.guestEnded else { throw Violation("data after the end on stream \(stream.id)") }
        guard frame.payload.count <= stream.receiveWindow else {
            throw Violation("data beyond the window of stream \(stream.id)")
        }
        stream.receiveWindow -= frame.payload.count
        if !frame.payload.isEmpty {
            if stream.shape == .download { stream.deadline = nil }
            deliver(.data(frame.payload, stderr: frame.flags.contains(.stderr)), to: stream, &effects)
        } else if !frame.flags.contains(.end) {
            try countIdleFrame(now: now)
        }
        guard frame.flags.contains(.end) else { return }
        stream.guestEnded = true
        deliver(.end, to: stream, &effects)
        switch stream.shape {
        case .download: setDeadline(now + .seconds(30), of: stream, &effects)
        case .tunnel where stream.hostEnded:
            stream.lingers = true
            setDeadline(now + Limits.linger, of: stream, &effects)
        default: break
        }
    }

    private mutating func receiveCredit(
        _ frame: Frame, _ stream: StreamState, now: NIODeadline, _ effects: inout Effects
    ) throws(Violation) {
        var reader = WireReader(frame.payload)
        guard frame.payload.count == 4, let amount = try? reader.u32() else {
            throw Violation("a credit of a wrong length")
        }
        if amount == 0 { try countIdleFrame(now: now) }
        stream.sendWindow += Int(amount)
        guard stream.sendWindow <= Limits.window else {
            throw Violation("credit beyond all bounds on stream \(stream.id)")
        }
        if amount > 0, stream.shape == .upload, !stream.hostEnded { stream.deadline = nil }
        enterRing(stream)
        pump(&effects)
    }

    private mutating func receiveClose(
        _ frame: Frame, _ stream: StreamState, _ effects: inout Effects
    ) throws(Violation) {
        guard stream.id != 0 else { throw Violation("stream 0 was closed") }
        let status: WireStatus
        do { status = try WireStatus(decoding: frame.payload) } catch {
            throw Violation("a status that cannot be read")
        }
        markClosed(stream, by: .guest)
        deliver(.closed(status), to: stream, &effects)
        failWriters(of: stream, with: .success(false), &effects)
    }

    /// Hands an item to who waits for it, or keeps it for later.
    private mutating func deliver(_ item: StreamItem, to stream: StreamState, _ effects: inout Effects) {
        if stream.collector != nil {
            took(item, of: stream)
            collect(item, stream, &effects)
        } else if let reader = stream.reader {
            stream.reader = nil
            took(item, of: stream)
            effects.resume(reader, .success(item))
        } else {
            stream.store(item)
        }
    }

    private mutating func collect(_ item: StreamItem, _ stream: StreamState, _ effects: inout Effects) {
        // Taken out and put back, so that the arrays in it are appended to in place.
        guard var collector = stream.collector else { return }
        stream.collector = nil
        switch item {
        case .message(let bytes): collector.collected.messages.append(bytes)
        case .data(let bytes, let stderr):
            collector.collected.append(bytes, stderr: stderr, limit: collector.limit)
        case .closed(let status): collector.collected.status = status
        case .end: break
        }
        guard stream.closedBy == .guest else {
            stream.collector = collector
            return
        }
        streams[stream.id] = nil
        // Half a reply may be left of a guest that closed in the middle of it.
        heldMessages -= stream.heldMessageBytes
        stream.heldMessageBytes = 0
        effects.resume(collector.continuation, .success(collector.collected))
    }

    // MARK: Stream 0 and the guest's own streams

    private mutating func receivePing(_ frame: Frame) throws(Violation) {
        guard frame.stream == 0, frame.payload.count <= 64 else { throw Violation("a malformed ping") }
        try answer(Frame(.pong, stream: 0, payload: frame.payload))
    }

    private mutating func receivePong(_ frame: Frame, _ effects: inout Effects) throws(Violation) {
        var reader = WireReader(frame.payload)
        guard frame.stream == 0, frame.payload.count == 8, let id = try? reader.u64(), id < nextPing else {
            throw Violation("a pong that was not asked for")
        }
        guard let ping = pings.removeValue(forKey: id) else { return }
        effects.resume(ping.continuation, .success(true))
    }

    private mutating func receiveOpen(_ frame: Frame, _ effects: inout Effects) throws(Violation) {
        let id = frame.stream
        guard id != 0, id & 1 == 0, id > latestGuestStream else {
            throw Violation("stream \(id) is not the guest's to open")
        }
        guard !frame.flags.contains(.more), let request = try? Request(decoding: frame.payload) else {
            throw Violation("an open that cannot be read")
        }
        latestGuestStream = id
        if case .incident(let incident) = request {
            if let report { effects.tell(report, incident) }
            return try answer(Frame(.close, stream: id, payload: WireStatus.ok.encoded()))
        }
        guard case .serviceConnect(let name) = request else {
            throw Violation("an open that only the host may send")
        }
        guard offered.contains(name), guestStreams < Limits.guestStreams else {
            try answer(Frame(.close, stream: id, payload: WireStatus(.refused).encoded()))
            return
        }
        guestStreams += 1
        streams[id] = StreamState(id: id, shape: .tunnel, announced: true)
        try answer(Frame(.message, stream: id, payload: Reply.ok.encoded()))
        let service = IncomingService(name: name, stream: id)
        if let waiting = acceptor {
            acceptor = nil
            effects.hand(waiting, service)
        } else {
            incoming.append(service)
        }
    }
}

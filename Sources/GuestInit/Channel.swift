internal import CLinux
internal import Glibc
internal import Wire

/// The byte stream to the host: frames in both directions, sessions, windows.
///
/// It is a socket, or the port of a machine. A port differs in what it gives at once (a read returns one page at most, a
/// write takes 32 KiB at most), and when it has no memory for a write; while nobody holds its other end, it is always
/// readable, with the end of the stream, and not writable, so the retries are the same.
final class Channel {
    /// What the channel tells the guest.
    protocol Delegate: AnyObject {
        /// A new session began and all streams of the former are gone; returns the introduction.
        func sessionBegan() -> Hello
        func opened(_ request: Request, on stream: Stream)
        /// The host's end is closed for good.
        func hostIsGone()
    }

    private static let maximumStreams = 4096
    private static let maximumPartialOpens = 16
    /// Queued answers at which no more requests are read.
    private static let controlHighWater = 4 * 1024 * 1024
    /// A restored guest finds a new channel in the old one's place, perhaps after a few errors.
    private static let retryMilliseconds: Int64 = 100
    private static let maximumRetries = 50
    /// What a port gives at once.
    private static let portChunk = 4096

    weak var delegate: (any Delegate)?
    private let loop: EventLoop
    private let log: Log
    private let input: Int32
    private let output: Int32
    private let isPort: Bool
    private var inputToken: EventLoop.Token?
    private var outputToken: EventLoop.Token?
    private var decoder = FrameDecoder(role: .guest)
    private var outbox = Outbox()
    private var streams: [UInt32: Stream] = [:]
    private var partialOpens: [UInt32: [UInt8]] = [:]
    /// Requests that were refused before their last part; the rest must not be taken for requests of their own.
    private var refusedOpens: Set<UInt32> = []
    private var nextGuestStream: UInt32 = 2
    private var hasSession = false
    private var failures = 0
    private var retrying = false
    private var waitingToWrite = false
    private var isGone = false
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)

    init(loop: EventLoop, log: Log, input: Int32, output: Int32, isPort: Bool) {
        self.loop = loop
        self.log = log
        self.input = input
        self.output = output
        self.isPort = isPort
    }

    func start() {
        makeNonBlocking()
        watch()
    }

    private func makeNonBlocking() {
        for descriptor in [input, output] {
            let flags = fcntl(descriptor, F_GETFL)
            if flags >= 0, flags & O_NONBLOCK == 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
        }
    }

    private func watch() {
        inputToken = loop.add(input, .read) { [unowned self] _ in readable() }
        if inputToken == nil { failed("cannot watch the channel", errno) }
    }

    // MARK: Reading

    private func readable() {
        let count = receive()
        if count > 0 {
            failures = 0
            let events = decoder.push(UnsafeRawBufferPointer(rebasing: scratch[0..<count]))
            for event in events { handle(event) }
            if outbox.controlBytes > Channel.controlHighWater { pauseReading() }
            return
        }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        failed("read", count == 0 ? 0 : errno)
    }

    /// What is there, as far as it fits. Of a port that are many reads: to wait again after each would cost more.
    private func receive() -> Int {
        var total = read(input, scratch.baseAddress, scratch.count)
        guard isPort, total == Channel.portChunk, let base = scratch.baseAddress else { return total }
        while total < scratch.count {
            let count = read(input, base + total, scratch.count - total)
            if count > 0 { total += count }
            // Whatever it is, the next event tells of it again.
            if count < Channel.portChunk { break }
        }
        return total
    }

    private func pauseReading() {
        guard let token = inputToken else { return }
        loop.remove(token, input)
        inputToken = nil
    }

    private func failed(_ operation: String, _ error: Int32) {
        guard !retrying, !isGone else { return }
        failures += 1
        if failures > Channel.maximumRetries {
            isGone = true
            unwatch()
            log.line("the host is gone (\(operation): \(error == 0 ? "end of stream" : SystemError.text(error)))")
            delegate?.hostIsGone()
            return
        }
        retrying = true
        unwatch()
        loop.after(milliseconds: Channel.retryMilliseconds) { [unowned self] in
            retrying = false
            makeNonBlocking()
            watch()
            readable()
        }
    }

    private func unwatch() {
        if let token = inputToken { loop.remove(token, input) }
        if let token = outputToken { loop.remove(token, output) }
        inputToken = nil
        outputToken = nil
        waitingToWrite = false
    }

    // MARK: Frames

    private func handle(_ event: FrameDecoder.Event) {
        switch event {
        case .session(let nonce): restart(nonce)
        case .frame(let frame): handle(frame)
        case .broken: break
        }
    }

    private func restart(_ nonce: [UInt8]) {
        let former = streams.values.sorted { $0.id < $1.id }
        streams = [:]
        partialOpens = [:]
        refusedOpens = []
        nextGuestStream = 2
        for stream in former { end(stream) }
        outbox.restart(with: Resync.answer(nonce: nonce))
        hasSession = true
        if let hello = delegate?.sessionBegan() {
            enqueueMessage(Reply.hello(hello).encoded(), stream: 0, flags: [])
        }
    }

    private func end(_ stream: Stream) {
        let handler = stream.handler
        stream.end()
        handler?.closed(stream)
    }

    private func handle(_ frame: Frame) {
        switch frame.kind {
        case .open: open(frame)
        case .ping:
            guard frame.stream == 0, frame.payload.count <= 64 else { return }
            outbox.enqueue(Frame(.pong, stream: 0, payload: frame.payload))
        case .pong: break
        case .data:
            guard let stream = streams[frame.stream] else { return }
            guard stream.accept(frame.payload.count) else {
                return violated(stream, "more bytes than the window allows")
            }
            let ends = frame.flags.contains(.end)
            stream.handler?.receive(frame.payload, end: ends, on: stream)
        case .credit:
            guard let stream = streams[frame.stream] else { return }
            var reader = WireReader(frame.payload)
            guard let count = try? reader.u32() else { return violated(stream, "a credit without a number") }
            stream.addSendWindow(Int(count))
            ready(stream)
        case .message: message(frame)
        case .close:
            partialOpens[frame.stream] = nil
            refusedOpens.remove(frame.stream)
            if let stream = streams.removeValue(forKey: frame.stream) { end(stream) }
        }
    }

    private func violated(_ stream: Stream, _ what: String) {
        streams[stream.id] = nil
        end(stream)
        refuse(stream.id, WireStatus(.invalid, "Protocol violation: \(what)"))
    }

    private func refuse(_ id: UInt32, _ status: WireStatus) {
        outbox.enqueue(Frame(.close, stream: id, payload: status.encoded()))
    }

    private func open(_ frame: Frame) {
        let id = frame.stream
        guard id % 2 == 1 else { return refuse(id, WireStatus(.invalid, "The host's streams have odd numbers")) }
        if let stream = streams[id] { return violated(stream, "the stream is open already") }
        guard let payload = assembled(frame) else { return }
        guard streams.count < Channel.maximumStreams else {
            return refuse(id, WireStatus(.failed, "Too many open streams"))
        }
        do throws(WireError) {
            let request = try Request(decoding: payload)
            let stream = Stream(id: id)
            streams[id] = stream
            delegate?.opened(request, on: stream)
        } catch {
            refuse(id, WireStatus(.invalid, "The request cannot be read: \(error.reason)"))
        }
    }

    /// The whole request with its last part; `nil` before that, and for one that was refused.
    private func assembled(_ frame: Frame) -> [UInt8]? {
        let id = frame.stream
        let isLast = !frame.flags.contains(.more)
        if refusedOpens.contains(id) {
            if isLast { refusedOpens.remove(id) }
            return nil
        }
        var payload = partialOpens.removeValue(forKey: id) ?? []
        payload += frame.payload
        var refusal: WireStatus?
        if payload.count > Frame.maximumMessage {
            refusal = WireStatus(.tooLarge, "A request is at most \(Frame.maximumMessage) bytes")
        } else if !isLast, partialOpens.count >= Channel.maximumPartialOpens {
            refusal = WireStatus(.failed, "Too many requests are being sent at once")
        }
        if let refusal {
            if !isLast { refusedOpens.insert(id) }
            refuse(id, refusal)
            return nil
        }
        if isLast { return payload }
        partialOpens[id] = payload
        return nil
    }

    private func message(_ frame: Frame) {
        guard let stream = streams[frame.stream] else { return }
        stream.parts += frame.payload
        guard stream.parts.count <= Frame.maximumMessage else { return violated(stream, "a message is too long") }
        if frame.flags.contains(.more) { return }
        let payload = stream.parts
        stream.parts = []
        guard let reply = try? Reply(decoding: payload) else { return violated(stream, "a message cannot be read") }
        stream.handler?.received(reply, on: stream)
        if frame.flags.contains(.final), let ended = streams.removeValue(forKey: frame.stream) { end(ended) }
    }

    // MARK: Sending

    /// Opens a stream of the guest's own; `nil` without a session or with too many streams.
    func open(_ request: Request, handler: any StreamHandler) -> Stream? {
        guard hasSession, !isGone, streams.count < Channel.maximumStreams else { return nil }
        while streams[nextGuestStream] != nil || nextGuestStream == 0 { nextGuestStream &+= 2 }
        let stream = Stream(id: nextGuestStream)
        nextGuestStream &+= 2
        stream.handler = handler
        streams[stream.id] = stream
        outbox.enqueue(Frame(.open, stream: stream.id, payload: request.encoded()))
        return stream
    }

    func send(_ reply: Reply, on stream: Stream, final: Bool = false) {
        guard stream.isOpen else { return }
        let payload = reply.encoded()
        guard payload.count <= Frame.maximumMessage else {
            return close(stream, WireStatus(.tooLarge, "The answer is larger than \(Frame.maximumMessage) bytes"))
        }
        enqueueMessage(payload, stream: stream.id, flags: final ? .final : [])
        if final { forget(stream) }
    }

    private func enqueueMessage(_ payload: [UInt8], stream: UInt32, flags: FrameFlags) {
        var position = 0
        repeat {
            let end = min(position + Frame.maximumPayload, payload.count)
            let part = position == 0 && end == payload.count ? payload : Array(payload[position..<end])
            let partFlags = end < payload.count ? FrameFlags.more : flags
            outbox.enqueue(Frame(.message, stream: stream, flags: partFlags, payload: part))
            position = end
        } while position < payload.count
    }

    /// Ends a stream from the guest's side; its handler is not told.
    func close(_ stream: Stream, _ status: WireStatus = .ok) {
        guard stream.isOpen else { return }
        var bounded = status
        bounded.message = String(decoding: status.message.utf8.prefix(2048), as: UTF8.self)
        refuse(stream.id, bounded)
        forget(stream)
    }

    /// Ends the streams with such handlers, and tells these.
    func closeAll(_ status: WireStatus, where matches: (any StreamHandler) -> Bool) {
        for stream in Array(streams.values) {
            guard let handler = stream.handler, matches(handler) else { continue }
            close(stream, status)
            handler.closed(stream)
        }
    }

    private func forget(_ stream: Stream) {
        streams[stream.id] = nil
        stream.end()
    }

    /// The stream has something to produce.
    func ready(_ stream: Stream) {
        if stream.isOpen { outbox.enqueue(stream) }
    }

    /// Received bytes were used up.
    func consumed(_ count: Int, on stream: Stream) {
        guard stream.isOpen, count > 0 else { return }
        let due = stream.creditDue(after: count)
        guard due > 0 else { return }
        var writer = WireWriter()
        writer.u32(UInt32(due))
        outbox.enqueue(Frame(.credit, stream: stream.id, payload: writer.bytes))
    }

    /// Whether everything that was to be sent has been written.
    var isFlushed: Bool { isGone || outbox.isEmpty }

    // MARK: Writing

    /// Writes as much as the channel takes; called at the end of every turn.
    func flush() {
        guard !retrying, !isGone else { return }
        while !waitingToWrite {
            fill()
            if outbox.pending == 0 { break }
            let count = outbox.buffer.withUnsafeBytes {
                write(output, $0.baseAddress.map { $0 + outbox.head }, outbox.pending)
            }
            if count > 0 {
                outbox.sent(count)
            } else if errno == EAGAIN {
                waitToWrite()
            } else if errno == ENOMEM {
                waitForMemory()
            } else if errno != EINTR {
                return failed("write", errno)
            }
        }
        if inputToken == nil, !retrying, outbox.controlBytes < Channel.controlHighWater / 2 { watch() }
    }

    private func waitToWrite() {
        waitingToWrite = true
        let handler: (EventLoop.Events) -> Void = { [unowned self] _ in
            waitingToWrite = false
            if let token = outputToken { loop.change(token, output, [.edge]) }
        }
        if let token = outputToken {
            loop.change(token, output, [.write, .edge])
            return
        }
        outputToken = loop.add(output, [.write, .edge], handler)
        if outputToken == nil { waitForMemory() }
    }

    private func waitForMemory() {
        waitingToWrite = true
        loop.after(milliseconds: 2) { [unowned self] in waitingToWrite = false }
    }

    private func fill() {
        while outbox.pending < Outbox.highWater {
            if let frame = outbox.nextControl() {
                outbox.encode(frame)
                continue
            }
            guard let next = outbox.nextProducer() as? Stream else { break }
            guard next.isOpen else { continue }
            let produced = next.produce(limit: min(next.sendWindow, Frame.maximumPayload))
            if !produced.bytes.isEmpty || !produced.flags.isEmpty {
                next.sendWindow -= produced.bytes.count
                outbox.encode(Frame(.data, stream: next.id, flags: produced.flags, payload: produced.bytes))
            }
            switch produced.next {
            case .wait: break
            case .again: if next.sendWindow > 0 { outbox.enqueue(next) }
            case .close(let status): close(next, status)
            case .finish(let reply): send(reply, on: next, final: true)
            }
        }
    }
}

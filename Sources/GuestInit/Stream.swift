internal import Wire

/// What stands behind a stream. All calls come from the loop.
protocol StreamHandler: AnyObject {
    /// Bytes of the host; ``Channel/consumed(_:on:)`` makes room for more.
    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream)
    /// A message of the host, on streams that the guest opened.
    func received(_ reply: Reply, on stream: Stream)
    func produce(limit: Int, for stream: Stream) -> Produced
    /// The host closed the stream or is gone. Nothing can be sent on it any more.
    func closed(_ stream: Stream)
}

extension StreamHandler {
    func receive(_ bytes: [UInt8], end: Bool, on stream: Stream) {}
    func received(_ reply: Reply, on stream: Stream) {}
    func produce(limit: Int, for stream: Stream) -> Produced { Produced(next: .wait) }
}

/// One stream of the session, with its windows.
final class Stream: Producer {
    let id: UInt32
    var sendWindow = Frame.initialWindow
    var isQueued = false
    /// A stream that has ended takes none: each would keep the other for ever.
    var handler: (any StreamHandler)? {
        didSet { if !isOpen, handler != nil { handler = nil } }
    }
    private(set) var isOpen = true
    /// Bytes that the host may still send.
    private var receiveWindow = Frame.initialWindow
    private var uncredited = 0
    /// The parts of a message so far.
    var parts: [UInt8] = []

    init(id: UInt32) { self.id = id }

    func produce(limit: Int) -> Produced {
        guard isOpen, let handler else { return Produced(next: .wait) }
        return handler.produce(limit: limit, for: self)
    }

    func end() {
        isOpen = false
        handler = nil
        parts = []
    }

    /// Counts received bytes; false if the host sent more than it may.
    func accept(_ count: Int) -> Bool {
        receiveWindow -= count
        return receiveWindow >= 0
    }

    /// Credit that is due after `count` more bytes were used up; small amounts wait for each other.
    func creditDue(after count: Int) -> Int {
        uncredited += count
        guard uncredited >= Frame.initialWindow / 4 else { return 0 }
        defer { uncredited = 0 }
        receiveWindow += uncredited
        return uncredited
    }

    func addSendWindow(_ count: Int) {
        // The host cannot make this overflow by sending credit for ever.
        sendWindow = min(sendWindow + count, Int(Int32.max))
    }
}

internal import Wire

/// What a stream gives when it is asked for data.
struct Produced {
    enum Next {
        /// Nothing more now; the stream calls ``Channel/ready(_:)`` when there is.
        case wait
        case again
        case close(WireStatus)
        /// A last message, which also ends the stream.
        case finish(Reply)
    }
    /// No frame is sent if there are neither bytes nor flags.
    var bytes: [UInt8] = []
    var flags: FrameFlags = []
    var next: Next
}

/// Takes its turn in the outbox.
protocol Producer: AnyObject {
    /// Bytes that the other side still accepts.
    var sendWindow: Int { get set }
    /// Whether it stands in the outbox's line.
    var isQueued: Bool { get set }
    var id: UInt32 { get }
    func produce(limit: Int) -> Produced
}

/// The encoded bytes that wait for the channel: control frames first, then the streams in turn, one frame each. Data is
/// asked for only when there is room, so a slow channel holds the streams back instead of filling memory.
struct Outbox {
    /// Encoded bytes at which no more are asked for.
    static let highWater = 256 * 1024

    private(set) var controlBytes = 0
    private var control = Queue<Frame>()
    private var line = Queue<any Producer>()
    private var encoder = FrameEncoder()
    private(set) var buffer: [UInt8] = []
    private(set) var head = 0

    var pending: Int { buffer.count - head }
    var isEmpty: Bool { pending == 0 && control.isEmpty && line.isEmpty }

    /// Forgets everything and starts a session with these bytes.
    mutating func restart(with answer: [UInt8]) {
        while let producer = line.popFirst() { producer.isQueued = false }
        control.removeAll()
        controlBytes = 0
        encoder = FrameEncoder()
        buffer = answer
        head = 0
    }

    mutating func enqueue(_ frame: Frame) {
        controlBytes += frame.payload.count + Frame.headerSize
        control.append(frame)
    }

    mutating func enqueue(_ producer: any Producer) {
        guard !producer.isQueued else { return }
        producer.isQueued = true
        line.append(producer)
    }

    mutating func nextControl() -> Frame? {
        guard let frame = control.popFirst() else { return nil }
        controlBytes -= frame.payload.count + Frame.headerSize
        return frame
    }

    mutating func nextProducer() -> (any Producer)? {
        guard let producer = line.popFirst() else { return nil }
        producer.isQueued = false
        return producer
    }

    mutating func encode(_ frame: Frame) { encoder.encode(frame, into: &buffer) }

    /// The first `count` bytes are on their way.
    mutating func sent(_ count: Int) {
        head += count
        if head == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= Outbox.highWater {
            buffer.removeSubrange(0..<head)
            head = 0
        }
    }
}

internal import NIOCore
internal import SandboxModel
internal import Wire

/// What a consumer takes off a stream, in the order in which the guest sent it.
enum StreamItem: Sendable {
    /// An encoded ``Reply``, put together from its parts. Decoded by the consumer, so that the event loop does not.
    case message([UInt8])
    case data([UInt8], stderr: Bool)
    /// The guest sends no more bytes.
    case end
    case closed(WireStatus)
}

/// Bytes on their way out that still wait for credit or for their turn.
struct PendingWrite {
    var bytes: [UInt8]
    var offset = 0
    /// Whether the guest is told that no more bytes follow.
    var end: Bool
    /// Resumed when the last byte was queued; absent if nobody waits.
    var continuation: CheckedContinuation<Bool, any Error>?
}

/// What a collected stream (the fast path of exec) came to.
struct Collected: Sendable {
    var messages: [[UInt8]] = []
    var stdout: [UInt8] = []
    var stderr: [UInt8] = []
    var stdoutTruncated = false
    var stderrTruncated = false
    /// Set if the guest closed the stream instead of finishing it by a message.
    var status: WireStatus?

    mutating func append(_ bytes: [UInt8], stderr isStderr: Bool, limit: Int) {
        if isStderr {
            stderrTruncated = Self.append(bytes, to: &stderr, limit: limit) || stderrTruncated
        } else {
            stdoutTruncated = Self.append(bytes, to: &stdout, limit: limit) || stdoutTruncated
        }
    }

    /// Appends what fits and says whether something did not.
    private static func append(_ bytes: [UInt8], to output: inout [UInt8], limit: Int) -> Bool {
        if output.isEmpty, bytes.count <= limit {
            output = bytes
            return false
        }
        let room = max(0, limit - output.count)
        output.append(contentsOf: bytes.prefix(room))
        return room < bytes.count
    }
}

/// Where a collected stream's bytes go.
struct Collector {
    var limit: Int
    /// How long it may take from the first reply on; `nil`: as long as it takes.
    var timeLimit: TimeAmount?
    var collected = Collected()
    var continuation: CheckedContinuation<Collected, any Error>
}

/// One stream of a session. Only touched under the session's lock.
final class StreamState {
    /// Which frames a stream may carry, and what they mean for its end.
    enum Shape {
        /// One reply and nothing else.
        case unary
        /// A reply, output, input, a final reply.
        case process
        /// A reply, bytes up to `end`, a close.
        case download
        /// Bytes to the guest, a final reply.
        case upload
        /// A reply, bytes both ways, a close.
        case tunnel
    }

    enum Side { case host, guest }

    let id: UInt32
    let shape: Shape
    /// Whether the host opened it.
    var isHosts: Bool { id & 1 == 1 }
    /// Whether the guest has been told of it.
    var announced: Bool
    /// Who closed it, if anybody has. What arrived before stays readable.
    var closedBy: Side?

    // From the guest
    var inbox = CircularBuffer<StreamItem>(initialCapacity: 4)
    var messages = 0
    var partial: [UInt8] = []
    /// Bytes of messages (whole or not) that nobody has taken yet.
    var heldMessageBytes = 0
    /// Bytes that the guest may still send.
    var receiveWindow = Frame.initialWindow
    /// Bytes that the consumer took and that were not credited yet.
    var uncredited = 0
    var creditQueued = false
    var guestEnded = false
    var reader: CheckedContinuation<StreamItem?, any Error>?
    var collector: Collector?

    // To the guest
    /// Bytes that may still be sent.
    var sendWindow = Frame.initialWindow
    var pending = CircularBuffer<PendingWrite>(initialCapacity: 1)
    /// Whether it waits for its turn in the session's ring of senders.
    var inRing = false
    var hostEnded = false

    /// When the stream is given up.
    var deadline: NIODeadline?
    /// Whether reaching the deadline is an ordinary end.
    var lingers = false

    init(id: UInt32, shape: Shape, announced: Bool = false) {
        self.id = id
        self.shape = shape
        self.announced = announced
    }

    /// Whether the guest may send bytes on it.
    var carriesData: Bool { shape != .unary && shape != .upload }
    /// Replies that the guest may send on it, at most. One that the guest opened has none.
    var messageLimit: Int {
        switch shape {
        case .unary, .download, .upload: 1
        case .process: 2
        case .tunnel: isHosts ? 1 : 0
        }
    }
    /// Whether the next pending write can go on now.
    var canSend: Bool {
        guard closedBy == nil, let next = pending.first else { return false }
        return sendWindow > 0 || next.offset == next.bytes.count
    }

    /// Adds to the inbox; small pieces are joined, so that many of them cost no more than their bytes.
    func store(_ item: StreamItem) {
        if case .data(let bytes, let stderr) = item, case .data(var last, let lastStderr)? = inbox.last,
            stderr == lastStderr, last.count + bytes.count <= Frame.maximumPayload
        {
            inbox.removeLast()
            last.append(contentsOf: bytes)
            inbox.append(.data(last, stderr: stderr))
        } else {
            inbox.append(item)
        }
    }
}

internal import NIOCore
internal import SandboxModel
internal import Wire

/// A breach of the protocol by the guest; it ends the session.
struct Violation: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }

    /// What it means for everybody who waits.
    var failure: SandboxError {
        SandboxError(
            .guestFailed, "The sandbox's init broke the protocol, so the connection to it was closed.",
            hint: "Resume the sandbox anew; if it happens again, look at what runs in it as root.", cause: self)
    }
}

/// Bounds of one session. The guest is taken for hostile: whatever it sends, no more than this is held.
enum Limits {
    /// Bytes of former frames skipped before the guest's answer.
    static let junk = 64 << 20
    /// Bytes of replies that nobody has taken yet, over all streams.
    static let heldMessages = 64 << 20
    /// Data bytes queued for the channel; writers beyond wait for their turn.
    static let queuedData = 512 << 10
    /// Bytes of requests queued for the channel; more are refused, since the guest does not read.
    static let queuedRequests = 16 << 20
    /// Frames queued in answer to the guest's own (pongs, refusals).
    static let queuedAnswers = 1024
    /// What either side may have been granted at most.
    static let window = 1 << 31
    /// Streams that the guest opened.
    static let guestStreams = 256
    /// Frames other than data that a stream may still see after the host closed it.
    static let lateFrames = 4096
    /// Pings of the host under way.
    static let pings = 1024
    /// Frames that bring nothing (pings, data without bytes, credit of 0): so many at once, and so many a second.
    static let idleFrames = 16384
    static let idleFramesPerSecond = 4096
    /// How long a tunnel that both sides ended waits for the guest's close.
    static let linger = TimeAmount.seconds(5)
}

/// All that a session knows, as a value whose methods decide and never act: what has to be done is left in
/// ``Effects``. Frames are applied in the order of the channel.
struct SessionState {
    enum Phase {
        /// Can transition to `open` or `ended`.
        case opening
        /// Can transition to `ended`.
        case open
        /// Terminal. `nil`: the host closed it.
        case ended(SandboxError?)
    }

    /// One entry of the queue to the channel.
    enum Outgoing {
        case frame(Frame)
        /// A frame that the guest caused.
        case answer(Frame)
        /// All that the stream's consumer has taken by the time the frame is written.
        case credit(UInt32)
    }

    var phase = Phase.opening
    var streams: [UInt32: StreamState] = [0: StreamState(id: 0, shape: .unary, announced: true)]
    var nextStream: UInt32 = 1
    /// Streams that the host opened and nobody closed.
    var openStreams = 0

    // To the guest
    var outbound = CircularBuffer<Outgoing>(initialCapacity: 16)
    var queuedData = 0
    var queuedRequests = 0
    var queuedAnswers = 0
    /// Streams that have bytes to send and credit for them, in the order of their turns.
    var ring = CircularBuffer<UInt32>(initialCapacity: 4)
    /// Whether somebody is about to send what is queued.
    var draining = false

    // From the guest
    var heldMessages = 0
    /// What may still arrive on streams that the host closed.
    var lateBytes = 0
    var lateFrames = 0
    /// Frames that bring nothing, as far as the guest may still send them, and when they were counted last.
    var idleFrames = Limits.idleFrames
    var idleFramesCounted = NIODeadline.uptimeNanoseconds(0)

    var pings: [UInt64: Ping] = [:]
    var nextPing: UInt64 = 1
    var watchers: [UInt64: CheckedContinuation<SandboxError?, Never>] = [:]
    var nextWatcher: UInt64 = 1
    /// No deadline is earlier than this one.
    var nextDeadline: NIODeadline?

    /// Where the guest's incidents go; `nil`: nowhere.
    let report: AsyncStream<Incident>.Continuation?

    init(report: AsyncStream<Incident>.Continuation? = nil) { self.report = report }

    // Services
    var offering = false
    var offered: Set<String> = []
    var latestGuestStream: UInt32 = 0
    var guestStreams = 0
    var incoming = CircularBuffer<IncomingService>(initialCapacity: 1)
    var acceptor: CheckedContinuation<IncomingService?, Never>?

    struct Ping {
        var continuation: CheckedContinuation<Bool, any Error>
        var deadline: NIODeadline
    }

    /// Why nothing more can be asked, if so.
    var failure: SandboxError? {
        guard case .ended(let error) = phase else { return nil }
        return error ?? SandboxError(.unavailable, "The connection to the sandbox was closed.")
    }

    /// Ends the session for everybody. Bytes and replies that arrived before stay readable.
    mutating func end(_ error: SandboxError?, _ effects: inout Effects) {
        if case .ended = phase { return }
        phase = .ended(error)
        let failure = failure ?? SandboxError(.internalError, "The session ended.")
        for stream in streams.values { release(stream, failing: failure, &effects) }
        for ping in pings.values { effects.resume(ping.continuation, .failure(failure)) }
        for watcher in watchers.values { effects.tell(watcher, error) }
        if let acceptor { effects.hand(acceptor, nil) }
        if let report { effects.finish(report) }
        pings = [:]
        watchers = [:]
        acceptor = nil
        incoming.removeAll()
        outbound.removeAll()
        ring.removeAll()
        openStreams = 0
        nextDeadline = nil
        effects.disconnect = true
    }

    /// Resumes all who wait on a stream: with the error, or without one as at an ordinary end.
    mutating func release(_ stream: StreamState, failing error: SandboxError?, _ effects: inout Effects) {
        if let reader = stream.reader {
            stream.reader = nil
            effects.resume(reader, error.map { .failure($0) } ?? .success(nil))
        }
        if let collector = stream.collector {
            stream.collector = nil
            let cancelled = SandboxError(.cancelled, "The request was cancelled.")
            effects.resume(collector.continuation, .failure(error ?? cancelled))
        }
        failWriters(of: stream, with: error.map { .failure($0) } ?? .success(false), &effects)
    }

    func failWriters(of stream: StreamState, with result: Result<Bool, SandboxError>, _ effects: inout Effects) {
        while let write = stream.pending.popFirst() {
            if let continuation = write.continuation { effects.resume(continuation, result) }
        }
    }

    // MARK: Deadlines

    mutating func setDeadline(_ deadline: NIODeadline?, of stream: StreamState, _ effects: inout Effects) {
        stream.deadline = deadline
        if let deadline { lowerDeadline(to: deadline, &effects) }
    }

    mutating func lowerDeadline(to deadline: NIODeadline, _ effects: inout Effects) {
        if let nextDeadline, nextDeadline <= deadline { return }
        nextDeadline = deadline
        effects.arm = true
    }

    /// Gives up what has waited too long.
    mutating func expire(at now: NIODeadline, _ effects: inout Effects) {
        let late = SandboxError(
            .deadlineExceeded, "The sandbox did not answer in time.",
            hint: "The sandbox may be overloaded or out of memory; look at its metrics, or resume it anew.")
        for (id, stream) in streams {
            guard let deadline = stream.deadline, deadline <= now else { continue }
            stream.deadline = nil
            if stream.lingers {
                closeByHost(stream, .ok)
            } else if id == 0 {
                release(stream, failing: late, &effects)
            } else {
                release(stream, failing: late, &effects)
                abandon(id, failing: late, status: WireStatus(.cancelled), &effects)
            }
        }
        for (id, ping) in pings where ping.deadline <= now {
            pings[id] = nil
            effects.resume(ping.continuation, .failure(late))
        }
        let deadlines = streams.values.compactMap(\.deadline) + pings.values.map(\.deadline)
        nextDeadline = deadlines.min()
        effects.arm = true
    }
}

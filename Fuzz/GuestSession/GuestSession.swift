import NIOCore
import SandboxModel

@testable import GuestClient
@testable import Wire

/// The host's end of a session as the guest and the host's own callers drive it: the input is a program whose
/// instructions are frames of the guest, calls of the host, and time that passes.
///
/// What must hold after each: nothing grows beyond its bound, sums are right, and at the end nobody is left waiting.
func fuzzGuestSession(_ input: UnsafeBufferPointer<UInt8>) {
    var run = SessionRun(Instructions(input))
    run.run()
}

private struct Instructions {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isOver: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard position < bytes.count else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number() -> UInt32 { UInt32(byte()) << 8 | UInt32(byte()) }

    /// A length: often small, sometimes as large as a frame.
    mutating func length() -> Int {
        let value = byte()
        return value < 250
            ? Int(value) : [0, 1024, Frame.maximumPayload - 1, Frame.maximumPayload, 4096][Int(value) % 5]
    }

    /// Bytes of the input itself, repeated as far as it does not reach.
    mutating func payload() -> [UInt8] {
        let count = length()
        let end = min(position + count, bytes.count)
        var result = Array(bytes[position..<end])
        position = end
        result += [UInt8](repeating: 0x41, count: count - result.count)
        return result
    }
}

private struct SessionRun {
    private static let maximumWaiters = 24
    private var program: Instructions
    private var state = SessionState()
    private let waiters = Waiters()
    private var waiting = 0
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var isOver = false

    init(_ program: Instructions) { self.program = program }

    mutating func run() {
        var effects = Effects()
        while !program.isOver, !isOver {
            effects = Effects()
            step(&effects)
            effects.resumeAll()
            check()
        }
        effects = Effects()
        state.end(nil, &effects)
        effects.resumeAll()
        waiters.join()
    }

    private mutating func step(_ effects: inout Effects) {
        let instruction = program.byte()
        switch instruction % 16 {
        case 0: open()
        case 1: announce(&effects)
        case 2: take(&effects)
        case 3: write(&effects)
        case 4: collect(&effects)
        case 5: state.abandon(UInt32(program.byte()), failing: nil, status: WireStatus(.cancelled), &effects)
        case 6: ping(&effects)
        case 7:
            now = now + .milliseconds(Int64(program.number()))
            state.expire(at: now, &effects)
        case 8: _ = state.takeFrames(upTo: 1 + Int(program.number()), &effects)
        case 9: state.offered = ["a"]
        default: receive(instruction, &effects)
        }
    }

    // MARK: The host

    private var shape: StreamState.Shape {
        mutating get { [.unary, .process, .download, .upload, .tunnel][Int(program.byte() % 5)] }
    }

    private mutating func open() { _ = try? state.reserve(shape) }

    private mutating func announce(_ effects: inout Effects) {
        guard let id = try? state.reserve(shape) else { return }
        let size = program.length() * (program.byte() == 0 ? 70 : 1)
        state.announce(id, payload: [UInt8](repeating: 1, count: size), deadline: now + .seconds(5), &effects)
    }

    private mutating func take(_ effects: inout Effects) {
        guard mayWait else { return }
        let stall = program.byte() & 1 == 0 ? now + .seconds(60) : nil
        state.take(UInt32(program.byte()), waiters.make(StreamItem?.self), stall: stall, &effects)
    }

    private mutating func write(_ effects: inout Effects) {
        guard mayWait else { return }
        let (id, flags, size) = (UInt32(program.byte()), program.byte(), program.length())
        let stall = flags & 2 == 0 ? now + .seconds(60) : nil
        let bytes = [UInt8](repeating: 2, count: size * (flags & 4 == 0 ? 1 : 20))
        state.write(id, bytes, end: flags & 1 == 1, waiters.make(Bool.self), stall: stall, &effects)
    }

    private mutating func collect(_ effects: inout Effects) {
        guard mayWait, let id = try? state.reserve(.process) else { return }
        let limit = program.byte() & 1 == 0 ? TimeAmount.seconds(3) : nil
        let collector = Collector(
            limit: Int(program.number()), timeLimit: limit, continuation: waiters.make(Collected.self))
        let input = program.byte() & 1 == 0 ? [UInt8](repeating: 3, count: program.length()) : nil
        state.collect(
            id, payload: [7], input: input, deadline: now + .seconds(5), collector: collector, &effects)
    }

    private mutating func ping(_ effects: inout Effects) {
        guard mayWait else { return }
        defer { state.nextPing += 1 }
        state.ping(state.nextPing, waiters.make(Bool.self), deadline: now + .seconds(5), &effects)
    }

    private var mayWait: Bool {
        mutating get {
            waiting += 1
            return waiting <= Self.maximumWaiters
        }
    }

    // MARK: The guest

    private mutating func receive(_ instruction: UInt8, _ effects: inout Effects) {
        guard let kind = FrameKind(rawValue: instruction >> 4 % 8) else { return }
        var frame = Frame(kind, stream: UInt32(program.byte()), flags: FrameFlags(rawValue: program.byte()))
        frame.payload = payload(of: kind)
        if case .ended = state.phase { return }
        let count = 1 + (frame.flags.rawValue & 0x80 != 0 ? Int(program.byte()) * 64 : 0)
        do throws(Violation) {
            for _ in 0..<count { try state.receive(frame, now: now, &effects) }
        } catch {
            state.end(error.failure, &effects)
            isOver = program.byte() & 1 == 0
        }
    }

    /// Often something that can be read, since otherwise nothing follows.
    private mutating func payload(of kind: FrameKind) -> [UInt8] {
        switch kind {
        case .credit:
            var writer = WireWriter()
            writer.u32(program.number() << (program.byte() % 17))
            return writer.bytes
        case .close: return WireStatus(WireStatus.Code(rawValue: UInt16(program.byte())) ?? .ok).encoded()
        case .open: return Request.serviceConnect(name: "a").encoded()
        case .pong:
            var writer = WireWriter()
            writer.u64(UInt64(program.byte()))
            return writer.bytes
        case .data, .message, .ping: return program.payload()
        }
    }

    // MARK: What must hold

    private func check() {
        precondition(state.heldMessages <= Limits.heldMessages + Frame.maximumPayload)
        precondition(state.queuedData >= 0 && state.queuedData <= Limits.queuedData + Frame.maximumPayload)
        precondition(state.queuedAnswers >= 0 && state.queuedAnswers <= Limits.queuedAnswers)
        precondition(state.queuedRequests >= 0 && state.pings.count <= Limits.pings)
        precondition((0...Limits.idleFrames).contains(state.idleFrames))
        if case .ended = state.phase { return }
        let streams = state.streams.values
        precondition(state.heldMessages == streams.reduce(0) { $0 + $1.heldMessageBytes }, "held messages")
        let open = streams.count { $0.id != 0 && $0.closedBy == nil }
        precondition(state.openStreams + state.guestStreams == open, "open streams")
        precondition((0...Limits.guestStreams).contains(state.guestStreams))
        for stream in streams {
            precondition(stream.receiveWindow >= 0 && stream.sendWindow >= 0 && stream.uncredited >= 0)
            precondition(stream.receiveWindow + stream.uncredited <= Frame.initialWindow, "a window that grows")
        }
    }
}

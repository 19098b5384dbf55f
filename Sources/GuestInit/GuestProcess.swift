internal import CLinux
internal import Glibc
internal import Wire

/// A process that the host started: its output, its input, who is attached, and how it ended.
final class GuestProcess {
    /// One descriptor that the process writes to.
    private final class Output {
        let descriptor: Int32
        let isError: Bool
        var token: EventLoop.Token?
        /// There may be more to read; epoll tells only once.
        var isReadable = true
        var hasEnded = false
        /// Once the process has exited: bytes of before that are not read yet.
        var due: Int?

        init(_ descriptor: Int32, isError: Bool) {
            self.descriptor = descriptor
            self.isError = isError
        }
    }

    /// How long the output of a process that is gone may stay open (a daemon may hold it) before the exit is told.
    private static let outputGraceMilliseconds: Int64 = 100
    private static let bytesPerTurn = 256 * 1024
    private static let readSize = 64 * 1024

    let id: UInt32
    let pid: pid_t
    let request: ProcessStart
    let directory: String
    let user: String
    let startedAt: Int64
    private let loop: EventLoop
    private let channel: Channel
    private let scratch: UnsafeMutableRawBufferPointer
    private var outputs: [Output]
    private(set) var ring: OutputRing
    private(set) var input: ProcessInput?
    private var attachments: [Attachment] = []
    private var waiters: [Stream] = []
    private var graceIsOver = false
    private var pumpIsDue = false
    var timedOut = false
    /// Limits of the sandbox that were met while it ran.
    var hits: LimitHits = []
    private(set) var exit: ProcessExit?
    /// All output up to the exit is in the ring, so the exit can be told.
    private(set) var isSettled = false
    /// Called once it is settled.
    var onSettled: (() -> Void)?

    init(
        id: UInt32, started: Spawn.Started, spawn: Spawn, loop: EventLoop, channel: Channel,
        scratch: UnsafeMutableRawBufferPointer
    ) {
        self.id = id
        pid = started.pid
        request = spawn.request
        directory = spawn.directory
        user = spawn.account.name
        startedAt = EventLoop.wallClock()
        self.loop = loop
        self.channel = channel
        self.scratch = scratch
        ring = OutputRing(capacity: Int(spawn.request.retainedBytes))
        outputs = [Output(started.output, isError: false)]
        if let error = started.error { outputs.append(Output(error, isError: true)) }
        if request.terminal != nil {
            input = ProcessInput(started.output, isTerminal: true, loop: loop, channel: channel)
        } else if let descriptor = started.input {
            input = ProcessInput(descriptor, isTerminal: false, loop: loop, channel: channel)
        }
    }

    /// Begins to read; not before the first stream is attached, so that it misses nothing.
    func begin() {
        for output in outputs {
            output.token = loop.add(output.descriptor, [.read, .edge]) { [unowned self, unowned output] _ in
                output.isReadable = true
                pump()
            }
        }
        input?.begin()
    }

    var info: Wire.ProcessInfo {
        Wire.ProcessInfo(
            id: id, pid: UInt32(pid), arguments: request.arguments, directory: directory, user: user, tag: request.tag,
            terminal: request.terminal != nil, startedUnixNanoseconds: startedAt, outputEnd: ring.end,
            outputStart: ring.start, attached: UInt32(attachments.count { !$0.isObserver }), exit: exit)
    }

    func resize(columns: UInt16, rows: UInt16) throws(WireStatus) {
        guard request.terminal != nil else { throw WireStatus(.invalid, "The process \(id) has no terminal") }
        guard let output = outputs.first, !output.hasEnded else { return }
        let error = nj_resize_terminal(output.descriptor, columns, rows)
        guard error == 0 else { throw SystemError.status(error, "The terminal cannot be resized") }
    }

    // MARK: Streams

    func attach(_ stream: Stream, offset: Int64, observer: Bool) -> Attachment {
        let position = offset < 0 ? ring.end : min(max(offset, ring.start), ring.end)
        let attachment = Attachment(process: self, stream: stream, position: position, isObserver: observer)
        stream.handler = attachment
        attachments.append(attachment)
        return attachment
    }

    func detach(_ attachment: Attachment) {
        attachments.removeAll { $0 === attachment }
        ring.trim(floor: floor)
        pumpSoon()
    }

    var isAttached: Bool { attachments.contains { !$0.isObserver } }

    func wait(_ stream: Stream) {
        if let exit { return channel.send(.exited(exit), on: stream, final: true) }
        waiters.append(stream)
        waiters.removeAll { !$0.isOpen }
    }

    func write(_ bytes: [UInt8], end: Bool, from stream: Stream) {
        guard let input else { return discard(bytes.count, from: stream) }
        input.write(bytes, end: end, from: stream)
    }

    /// Received bytes that nobody wants still count as used up.
    func discard(_ count: Int, from stream: Stream) { channel.consumed(count, on: stream) }

    /// An attached stream took output, so there may be room again.
    func advanced() {
        if outputs.contains(where: { $0.isReadable && !$0.hasEnded }) { pumpSoon() }
    }

    private var floor: Int64? {
        var floor: Int64?
        for attachment in attachments where !attachment.isObserver {
            floor = min(floor ?? attachment.position, attachment.position)
        }
        return floor
    }

    // MARK: Output

    private func pumpSoon() {
        guard !pumpIsDue else { return }
        pumpIsDue = true
        loop.soon { [self] in
            pumpIsDue = false
            pump()
        }
    }

    private func pump() {
        let before = ring.end
        var unfinished = false
        for output in outputs where output.isReadable && !output.hasEnded {
            if drain(output) { unfinished = true }
        }
        if ring.end != before { wakeReaders() }
        if unfinished { pumpSoon() }
        if exit != nil, !isSettled { settleIfDrained() }
    }

    /// Reads what is there and fits; true if its share of this turn is used up.
    private func drain(_ output: Output) -> Bool {
        var budget = GuestProcess.bytesPerTurn
        while budget > 0 {
            let room = min(ring.room(floor: floor), GuestProcess.readSize)
            guard room > 0 else { return false }
            let count = read(output.descriptor, scratch.baseAddress, room)
            if count > 0 {
                let bytes = UnsafeRawBufferPointer(rebasing: scratch[0..<count])
                ring.append(bytes, isError: output.isError, floor: floor)
                if let due = output.due { output.due = due - count }
                budget -= count
            } else if count < 0, errno == EAGAIN {
                output.isReadable = false
                output.due = output.due.map { _ in 0 }
                return false
            } else if count == 0 || errno != EINTR {
                // A terminal reports an error when its last user is gone.
                end(output)
                return false
            }
        }
        return true
    }

    private func end(_ output: Output) {
        output.hasEnded = true
        if let token = output.token { loop.remove(token, output.descriptor) }
        output.token = nil
        if request.terminal != nil { input?.abandon() }
        close(output.descriptor)
    }

    private func wakeReaders() {
        for attachment in attachments { channel.ready(attachment.stream) }
    }

    // MARK: End

    /// The process was reaped.
    func exited(_ exit: ProcessExit) {
        self.exit = exit
        for stream in waiters { channel.send(.exited(exit), on: stream, final: true) }
        waiters = []
        for output in outputs where !output.hasEnded {
            let bytes = nj_bytes_readable(output.descriptor)
            output.due = bytes >= 0 ? Int(bytes) : 1
            output.isReadable = true
        }
        if request.terminal == nil { input?.abandon() }
        pump()
        guard !isSettled else { return }
        loop.after(milliseconds: GuestProcess.outputGraceMilliseconds) { [self] in
            graceIsOver = true
            settleIfDrained()
        }
    }

    private func settleIfDrained() {
        guard !isSettled, outputs.allSatisfy({ $0.hasEnded || (graceIsOver && ($0.due ?? 0) <= 0) }) else { return }
        isSettled = true
        wakeReaders()
        onSettled?()
    }

    /// Forgets retained output, to bound what all the exited processes hold together.
    func forgetOutput() {
        guard isSettled, attachments.isEmpty else { return }
        ring.clear()
    }

    /// Closes what is left; the process is no longer listed.
    func dispose() {
        for output in outputs where !output.hasEnded { end(output) }
        input?.abandon()
        for attachment in attachments {
            channel.close(attachment.stream, WireStatus(.notFound, "The process \(id) is no longer listed"))
        }
        attachments = []
    }
}

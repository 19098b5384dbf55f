internal import Logging
internal import NIOCore
internal import NIOPosix
internal import SandboxModel
internal import Synchronization
internal import Wire

/// Joins the state machine to its channel: takes decisions under the lock and carries them out.
///
/// Callers never hop to the event loop to read: what arrived is handed over under the lock. What they send is queued
/// and written by the loop, everything that is queued by then in one go.
final class SessionCore: Sendable {
    let channel: any Channel
    let logger: Logger
    private let state: Mutex<SessionState>
    private let output: NIOLoopBound<Output>
    let incidents: AsyncStream<Incident>

    /// The loop's own part of a session.
    private final class Output {
        var encoder = FrameEncoder()
        var scratch: [UInt8] = []
        var timer: (at: NIODeadline, task: Scheduled<Void>)?
    }

    private static let batch = 256 << 10
    private static let keptScratch = 16 << 10

    /// On the channel's event loop only.
    init(channel: any Channel, logger: Logger) {
        self.channel = channel
        self.logger = logger
        let (incidents, report) = AsyncStream.makeStream(of: Incident.self, bufferingPolicy: .bufferingNewest(64))
        self.incidents = incidents
        state = Mutex(SessionState(report: report))
        output = NIOLoopBound(Output(), eventLoop: channel.eventLoop)
    }

    /// Takes a decision under the lock, then does what it asks for.
    func perform<R: Sendable, E: Error>(
        _ decide: (inout SessionState, inout Effects) throws(E) -> R
    ) throws(E) -> R {
        let (result, effects) = state.withLock { state -> (Result<R, E>, Effects) in
            var effects = Effects()
            let result: Result<R, E>
            do throws(E) { result = .success(try decide(&state, &effects)) } catch { result = .failure(error) }
            if !state.draining, !state.outbound.isEmpty {
                state.draining = true
                effects.drain = true
            }
            return (result, effects)
        }
        carryOut(effects)
        return try result.get()
    }

    private func carryOut(_ effects: Effects) {
        effects.resumeAll()
        if effects.drain || effects.arm {
            if channel.eventLoop.inEventLoop {
                if effects.drain { drain() }
                if effects.arm { arm() }
            } else {
                channel.eventLoop.execute {
                    if effects.drain { self.drain() }
                    if effects.arm { self.arm() }
                }
            }
        }
        if effects.disconnect { channel.close(promise: nil) }
    }

    // MARK: On the event loop

    /// Writes what is queued, as far as the channel takes it.
    func drain() {
        let output = output.value
        var wrote = false
        while channel.isWritable {
            let frames = perform { state, effects in state.takeFrames(upTo: Self.batch, &effects) }
            if frames.isEmpty { break }
            // Reserved at once, since the encoder would grow the array anew for every frame.
            let size = frames.reduce(0) { $0 + $1.payload.count + Frame.headerSize + Frame.trailerSize }
            output.scratch.removeAll(keepingCapacity: true)
            output.scratch.reserveCapacity(size)
            for frame in frames { output.encoder.encode(frame, into: &output.scratch) }
            var buffer = channel.allocator.buffer(capacity: size)
            buffer.writeBytes(output.scratch)
            channel.write(buffer, promise: nil)
            wrote = true
        }
        // A session that is idle holds no large buffer.
        if output.scratch.capacity > Self.keptScratch { output.scratch = [] }
        if wrote { channel.flush() }
    }

    /// Applies what one read brought.
    func receive(_ events: [FrameDecoder.Event]) {
        let now = NIODeadline.now()
        let violation = perform { state, effects -> Violation? in
            do throws(Violation) {
                for event in events {
                    if case .ended = state.phase { break }
                    switch event {
                    case .session: continue
                    case .frame(let frame): try state.receive(frame, now: now, &effects)
                    case .broken(let error): throw Violation("a frame that cannot be read (\(error))")
                    }
                }
                return nil
            } catch {
                state.end(error.failure, &effects)
                return error
            }
        }
        if let violation { log(violation) }
    }

    /// Sets the timer to the earliest deadline.
    private func arm() {
        let output = output.value
        guard let deadline = state.withLock({ $0.nextDeadline }) else { return }
        if let timer = output.timer {
            if timer.at <= deadline { return }
            timer.task.cancel()
        }
        let task = channel.eventLoop.scheduleTask(deadline: deadline) {
            self.output.value.timer = nil
            self.perform { state, effects in state.expire(at: .now(), &effects) }
        }
        output.timer = (deadline, task)
    }

    /// The channel is gone.
    func disconnected() {
        output.value.timer?.task.cancel()
        output.value.timer = nil
        end(SandboxError(.guestFailed, "The sandbox's init closed the connection; the sandbox may have ended."))
    }

    // MARK: Ends

    func end(_ error: SandboxError?) {
        perform { state, effects in state.end(error, &effects) }
    }

    /// Ends the session because of what the guest sent.
    func end(violation: Violation) {
        end(violation.failure)
        log(violation)
    }

    private func log(_ violation: Violation) {
        logger.warning("The guest broke the protocol", metadata: ["violation": "\(violation)"])
    }
}

public import Logging
internal import NIOCore
internal import NIOPosix
public import SandboxModel
public import Wire

/// The host's end of a session with the init of one sandbox.
///
/// It owns the channel's descriptor. All functions may be called concurrently; each opens a stream of its own, and a
/// slow reader of one stream never stalls another. Letting go of the session closes it.
///
/// ### Errors
/// Everything throws ``SandboxError``. What the guest refuses has the code of its reason (`file_not_found`,
/// `cannot_execute`, …). When the session ends, everything under way throws `guest_failed` (the sandbox died, or its
/// init broke the protocol) or `unavailable` (the host closed the session); output that had arrived before stays
/// readable.
///
/// ### Cancellation and deadlines
/// Cancelling a task that waits here closes its stream and throws `cancelled`. The guest's first answer is awaited for
/// ``requestDeadline``, then the stream is closed and the call throws `deadline_exceeded`. The contents of a file and
/// the entries of a directory may stall for a minute. Waiting for a process, for its output, for events of a watch and
/// for bytes of a connection has no deadline, unless the process has one.
public final class GuestSession: Sendable {
    /// What the guest said when the session began.
    public let hello: Hello
    /// How long an answer may take, unless a function says otherwise.
    public let requestDeadline: Duration
    let core: SessionCore

    /// Deadline of requests that walk a whole tree.
    static let treeDeadline = Duration.seconds(600)

    private init(core: SessionCore, hello: Hello, requestDeadline: Duration) {
        self.core = core
        self.hello = hello
        self.requestDeadline = requestDeadline
    }

    deinit { core.end(nil) }

    /// Begins a session on a connected stream socket.
    ///
    /// It serves the first start as well as a later server, and a restored guest: what is left of a former session in
    /// either direction is skipped. The guest drops the streams of the former session; its processes go on.
    ///
    /// - Parameters:
    ///   - descriptor: The session takes it over, and closes it in any case.
    ///   - deadline: For all of the opening.
    ///   - logger: Hears of the guest's breaches of the protocol.
    ///   - requestDeadline: See ``requestDeadline``.
    /// - Throws: ``SandboxError`` with `deadline_exceeded` if the guest did not answer, `guest_failed` if it is gone,
    ///   breaks the protocol, or speaks no generation of it that this source knows, `cancelled`.
    public static func open(
        descriptor: Int32, deadline: Duration, logger: Logger, requestDeadline: Duration = .seconds(30)
    ) async throws -> GuestSession {
        let end = SessionCore.deadline(after: deadline)
        let nonce = randomNonce()
        let core = try await connect(descriptor, nonce: nonce, logger: logger)
        do {
            let hello = try await withTaskCancellationHandler {
                try await handshake(core, nonce: nonce, deadline: end)
            } onCancel: {
                core.end(SessionCore.cancelled)
            }
            return GuestSession(core: core, hello: hello, requestDeadline: requestDeadline)
        } catch {
            core.end(nil)
            try? await core.channel.closeFuture.get()
            throw error
        }
    }

    private static func randomNonce() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<Resync.nonceSize).map { _ in UInt8.random(in: 0...UInt8.max, using: &generator) }
    }

    private static func connect(_ descriptor: Int32, nonce: [UInt8], logger: Logger) async throws -> SessionCore {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.writeBufferWaterMark, value: .init(low: 128 << 10, high: 512 << 10))
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 16384, maximum: 256 << 10)
            )
            // One read a turn: a guest that floods its channel delays the others on this loop by no more than that.
            .channelOption(.maxMessagesPerRead, value: 1)
        do {
            return try await bootstrap.withConnectedSocket(descriptor) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let core = SessionCore(channel: channel, logger: logger)
                    try channel.pipeline.syncOperations.addHandler(SessionHandler(core: core, nonce: nonce))
                    return core
                }
            }
        } catch {
            throw SandboxError(.guestFailed, "The sandbox's channel cannot be used.", cause: error)
        }
    }

    private static func handshake(_ core: SessionCore, nonce: [UInt8], deadline: NIODeadline) async throws -> Hello {
        core.channel.writeAndFlush(ByteBuffer(bytes: Resync.opening(nonce: nonce)), promise: nil)
        let item = try await core.next(0) { state, effects in
            guard let stream = state.streams[0] else { return }
            state.setDeadline(deadline, of: stream, &effects)
        }
        guard case .hello(let hello) = try core.reply(item, about: .system("the handshake")),
            hello.oldestGeneration <= hello.newestGeneration, hello.version.utf8.count <= 256
        else { throw core.broken("a session that does not begin with a hello") }
        // This source speaks one generation; an older guest, restored from a checkpoint, may speak others too.
        guard (hello.oldestGeneration...hello.newestGeneration).contains(Hello.generation) else {
            throw SandboxError(
                .guestFailed,
                "The sandbox's init speaks generations \(hello.oldestGeneration) to \(hello.newestGeneration) of the "
                    + "protocol, this server only \(Hello.generation).",
                hint: "Start the sandbox afresh, or run a server of the version that it was made with.")
        }
        core.perform { state, _ in
            if case .opening = state.phase { state.phase = .open }
        }
        return hello
    }

    /// Streams that the host has open now.
    public var openStreams: Int { core.perform { state, _ in state.openStreams } }

    /// Ends the host's use of the channel and closes the descriptor; the guest and its processes go on. Safe to repeat.
    public func close() async {
        core.end(nil)
        try? await core.channel.closeFuture.get()
    }

    /// Returns when the session is over: with the reason, or `nil` after ``close()``.
    ///
    /// If the calling task is cancelled, it returns an error with `cancelled`, whatever the session's state.
    public func ended() async -> SandboxError? {
        let id = core.perform { state, _ -> UInt64 in
            state.nextWatcher += 1
            return state.nextWatcher
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                core.perform { state, effects in
                    if case .ended(let error) = state.phase {
                        effects.tell(continuation, error)
                    } else if Task.isCancelled {
                        effects.tell(continuation, SessionCore.cancelled)
                    } else {
                        state.watchers[id] = continuation
                    }
                }
            }
        } onCancel: {
            core.perform { state, effects in
                guard let continuation = state.watchers.removeValue(forKey: id) else { return }
                effects.tell(continuation, SessionCore.cancelled)
            }
        }
    }

    /// Makes sure that the guest has read everything that was queued for it, to the end of a frame.
    ///
    /// Used before a checkpoint, while the caller lets no new requests begin: what is sent after it may be lost with
    /// the channel. The session goes on afterwards as before.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded`, `guest_failed`, `unavailable` or `cancelled`.
    public func quiesce(deadline: Duration) async throws { try await ping(deadline: deadline) }

    /// Waits for the guest's answer to a ping, which takes its turn behind what is queued.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded`, `guest_failed`, `unavailable` or `cancelled`.
    public func ping(deadline: Duration) async throws {
        let end = SessionCore.deadline(after: deadline)
        let id = core.perform { state, _ -> UInt64 in
            defer { state.nextPing += 1 }
            return state.nextPing
        }
        _ = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Bool, any Error>) in
                core.perform { state, effects in
                    if Task.isCancelled {
                        effects.resume(continuation, .failure(SessionCore.cancelled))
                    } else {
                        state.ping(id, continuation, deadline: end, &effects)
                    }
                }
            }
        } onCancel: {
            core.perform { state, effects in
                guard let ping = state.pings.removeValue(forKey: id) else { return }
                effects.resume(ping.continuation, .failure(SessionCore.cancelled))
            }
        }
    }

    // MARK: For the files beside this one

    var answerDeadline: NIODeadline { SessionCore.deadline(after: requestDeadline) }

    /// A request whose answer is ``Reply/ok``.
    func command(_ request: Request, about subject: Subject, deadline: Duration? = nil) async throws {
        let end = deadline.map { SessionCore.deadline(after: max($0, requestDeadline)) } ?? answerDeadline
        guard case .ok = try await core.ask(request, about: subject, deadline: end) else {
            throw core.broken("a wrong reply to a command")
        }
    }
}

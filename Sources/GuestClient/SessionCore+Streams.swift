internal import NIOCore
internal import SandboxModel
internal import Wire

// What the functions of a session are made of. Each returns or throws ``SandboxError``; a cancelled wait closes its
// stream and throws `cancelled`.
extension SessionCore {
    /// How long a transfer may stand still.
    static let stall = Duration.seconds(60)
    static let cancelled = SandboxError(.cancelled, "The request was cancelled.")

    static func deadline(after duration: Duration) -> NIODeadline {
        let (seconds, attoseconds) = duration.components
        // A wait of years is as good as none, and does not overflow.
        let bounded = min(max(seconds, 0), 10 * 365 * 86_400)
        return .now() + .seconds(bounded) + .nanoseconds(max(attoseconds, 0) / 1_000_000_000)
    }

    static func encode(_ request: Request) throws(SandboxError) -> [UInt8] {
        let payload = request.encoded()
        guard payload.count <= Frame.maximumMessage else {
            throw SandboxError(
                .invalidRequest, "The request is larger than 4 MiB.",
                hint: "Pass large input by standard input or as a file, not as arguments or environment.")
        }
        return payload
    }

    /// Asks, and returns the reply of a unary request.
    func ask(_ request: Request, about subject: Subject, deadline: NIODeadline?) async throws -> Reply {
        let (id, reply) = try await open(request, .unary, about: subject, deadline: deadline)
        forget(id)
        return reply
    }

    /// Opens a stream and returns it with its first reply.
    func open(
        _ request: Request, _ shape: StreamState.Shape, about subject: Subject, deadline: NIODeadline?
    ) async throws -> (UInt32, Reply) {
        let payload = try Self.encode(request)
        let id = try reserve(shape)
        do {
            let item = try await next(id) { state, effects in
                state.announce(id, payload: payload, deadline: deadline, &effects)
            }
            return (id, try reply(item, about: subject))
        } catch {
            forget(id)
            throw error
        }
    }

    func reserve(_ shape: StreamState.Shape) throws(SandboxError) -> UInt32 {
        try perform { (state, _) throws(SandboxError) in try state.reserve(shape) }
    }

    /// The next item of a stream; `nil` when it is closed and all was taken. After `stall` without one the stream is
    /// given up. `before` runs under the same lock.
    func next(
        _ id: UInt32, stall: NIODeadline? = nil,
        before: @Sendable (inout SessionState, inout Effects) -> Void = { _, _ in }
    ) async throws -> StreamItem? {
        let item = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                perform { state, effects in
                    before(&state, &effects)
                    state.take(id, continuation, stall: stall, &effects)
                }
            }
        } onCancel: {
            cancel(id)
        }
        if item == nil, Task.isCancelled { throw Self.cancelled }
        return item
    }

    /// Sends bytes as credit allows; `false` if the stream is closed. After `stall` without progress it is given up.
    func write(_ id: UInt32, _ bytes: [UInt8], end: Bool, stall: NIODeadline? = nil) async throws -> Bool {
        let accepted = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                perform { state, effects in
                    state.write(id, bytes, end: end, continuation, stall: stall, &effects)
                }
            }
        } onCancel: {
            cancel(id)
        }
        if !accepted, Task.isCancelled { throw Self.cancelled }
        return accepted
    }

    /// Opens a stream, sends the input and gathers the output, all without waking the caller before the end.
    func collect(
        _ request: Request, input: [UInt8]?, limit: Int, deadline: NIODeadline, timeLimit: TimeAmount?
    ) async throws -> Collected {
        let payload = try Self.encode(request)
        let id = try reserve(.process)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                perform { state, effects in
                    let collector = Collector(limit: limit, timeLimit: timeLimit, continuation: continuation)
                    state.collect(
                        id, payload: payload, input: input, deadline: deadline, collector: collector, &effects)
                }
            }
        } onCancel: {
            cancel(id)
        }
    }

    func cancel(_ id: UInt32) {
        perform { state, effects in
            state.abandon(id, failing: Self.cancelled, status: WireStatus(.cancelled), &effects)
        }
    }

    /// Drops a stream, telling the guest if it does not know. Who still waits on it sees an ordinary end.
    func forget(_ id: UInt32, status: WireStatus = .ok) {
        perform { state, effects in state.abandon(id, failing: nil, status: status, &effects) }
    }

    /// The reply in an item; an error if the guest refused. Anything else ends the session.
    func reply(_ item: StreamItem?, about subject: Subject) throws(SandboxError) -> Reply {
        switch item {
        case .message(let bytes):
            do { return try Reply(decoding: bytes) } catch { throw broken("a reply that cannot be read (\(error))") }
        case .closed(let status): throw subject.error(for: status)
        case .data, .end: throw broken("bytes where a reply belongs")
        case nil: throw Self.cancelled
        }
    }

    /// Ends the session because of a wrong reply, and returns what to throw.
    func broken(_ what: String) -> SandboxError {
        end(violation: Violation(what))
        return SandboxError(
            .guestFailed, "The sandbox's init gave an answer that makes no sense.", cause: Violation(what))
    }
}

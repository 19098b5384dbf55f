public import LinuxSystem
internal import SandboxModel
internal import Synchronization

/// A connection to the monitor of one QEMU.
///
/// Any number of tasks may use it: commands go one at a time, in the order in which they get their turn, and each waits
/// for its own answer. Whoever waits reads the socket for all; nothing reads while nobody waits, so there is no task to
/// own. QEMU serves one connection at a time: a second one waits for its greeting until the first is closed.
///
/// A command whose deadline passes or whose task is cancelled may still have its effect; its answer is dropped when it
/// comes, and the connection stays usable. All errors are ``SandboxError``: `driver_failed` with a ``QMPError`` as the
/// cause, `deadline_exceeded` or `cancelled`.
public final class QMPClient: Sendable {
    /// Events that are kept unless others are asked for.
    public static let usualEvents: Set<QMPEvent.Name> = [
        .stop, .resume, .shutdown, .reset, .migration, .guestPanicked, .blockError,
    ]

    /// Of the QEMU on the other side.
    public let version: QMPVersion
    private let socket: UnixSocket
    private let state: Mutex<Conversation>

    private init(_ socket: UnixSocket, _ version: QMPVersion, _ conversation: Conversation) {
        self.socket = socket
        self.version = version
        state = Mutex(conversation)
    }

    /// Connects to a monitor's socket, takes the greeting and makes the monitor ready for commands.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes.
    ///   - events: Those that can be waited for; all others are dropped.
    public static func connect(
        _ path: String, events: Set<QMPEvent.Name> = usualEvents, until deadline: ContinuousClock.Instant
    ) async throws -> QMPClient {
        let socket: UnixSocket
        do {
            socket = try UnixSocket.connect(path)
        } catch {
            throw QMPError.system("\(error)").sandboxError
        }
        return try await open(socket, events: events, until: deadline)
    }

    /// The same on a connected socket.
    public static func open(
        _ socket: UnixSocket, events: Set<QMPEvent.Name> = usualEvents, until deadline: ContinuousClock.Instant
    ) async throws -> QMPClient {
        var conversation = Conversation(interest: events)
        while conversation.greeting == nil {
            if let failure = conversation.failure { throw failure.sandboxError }
            do {
                conversation.feed(try await socket.receive(until: deadline).bytes)
            } catch let error as SystemError {
                throw QMPError.system("\(error)").sandboxError
            }
            if ContinuousClock.now >= deadline { throw late }
        }
        let version: QMPVersion
        do throws(QMPError) {
            version = try QMPVersion(conversation.greeting?["version"] ?? .null)
        } catch {
            throw error.sandboxError
        }
        let client = QMPClient(socket, version, conversation)
        try await client.run(.acceptCapabilities, until: deadline)
        return client
    }

    /// Ends the connection. QEMU goes on. Calls under way fail.
    public func close() {
        state.withLock { $0.fail(.unusable("this side has closed it")) }
        // The descriptor is closed with the socket's object: another task may be waiting on it.
        socket.shutdown()
    }

    /// Carries out a command.
    ///
    /// - Returns: QEMU's answer. For many commands it says only that the work began.
    @discardableResult
    public func run<Answer>(
        _ command: QMPCommand<Answer>, until deadline: ContinuousClock.Instant
    ) async throws -> Answer {
        // Whoever waits for a turn must not be caught in a read when the turn comes: it comes from this side.
        try await wait(until: deadline, reads: false) { $0.takeTurn() }
        defer { state.withLock { $0.releaseTurn() } }
        let value = try await exchange(command, until: deadline)
        do throws(QMPError) {
            return try Answer(value)
        } catch {
            throw error.named(command.name).sandboxError
        }
    }

    /// Where events begin that come from now on: taken before a command, it misses nothing that the command causes.
    public var position: QMPEventPosition { state.withLock { $0.position } }

    /// Waits for the first event of these names at or after a position, and moves the position behind it.
    public func event(
        _ names: Set<QMPEvent.Name>, from position: inout QMPEventPosition,
        until deadline: ContinuousClock.Instant
    ) async throws -> QMPEvent {
        let start = position
        let found = try await wait(until: deadline) { conversation throws(QMPError) in
            var place = start
            return try conversation.event(names, from: &place).map { Found(event: $0, next: place) }
        }
        position = found.next
        return found.event
    }

    // MARK: Parts

    private typealias Decision<Result: Sendable> = Swift.Result<Step<Result>, SandboxError>

    private func exchange<Answer>(
        _ command: QMPCommand<Answer>, until deadline: ContinuousClock.Instant
    ) async throws -> QMPValue {
        let line: [UInt8]
        let id = state.withLock { $0.begin(command.name) }
        do throws(QMPError) {
            line = try command.line(id)
        } catch {
            state.withLock { $0.forget() }
            throw error.sandboxError
        }
        do {
            try await socket.send(line, descriptors: command.descriptors, until: deadline)
        } catch {
            // Half a line may be under way.
            let failure = (error as? SystemError).map { QMPError.system("\($0)") }
            state.withLock { $0.fail(failure ?? .unusable("\(command.name) was sent in part")) }
            throw failure?.sandboxError ?? error
        }
        do {
            return try await wait(until: deadline) { conversation throws(QMPError) in try conversation.takeAnswer() }
        } catch {
            state.withLock { $0.abandon() }
            throw error
        }
    }

    private struct Found: Sendable {
        var event: QMPEvent
        var next: QMPEventPosition
    }

    private enum Step<Result: Sendable>: Sendable {
        case finished(Result)
        case read
        case follow
        case prepare
    }

    /// Waits until `ready` has a result. Reads the socket if the result can come from there, unless another task does.
    private func wait<Result: Sendable>(
        until deadline: ContinuousClock.Instant, reads: Bool = true,
        _ ready: (inout Conversation) throws(QMPError) -> Result?
    ) async throws -> Result {
        var wakeup: Wakeup?
        defer { if let wakeup { state.withLock { $0.unfollow(wakeup) } } }
        while true {
            switch try decide(wakeup, until: deadline, reads: reads, ready) {
            case .finished(let result): return result
            case .prepare: wakeup = try Self.makeWakeup()
            case .read: try await read(until: deadline)
            case .follow: try await wakeup?.wait(until: deadline)
            }
        }
    }

    private func decide<Result: Sendable>(
        _ wakeup: Wakeup?, until deadline: ContinuousClock.Instant, reads: Bool,
        _ ready: (inout Conversation) throws(QMPError) -> Result?
    ) throws(SandboxError) -> Step<Result> {
        let decision = state.withLock { conversation -> Decision<Result> in
            do throws(QMPError) {
                if let result = try ready(&conversation) { return .success(.finished(result)) }
                if let failure = conversation.failure { throw failure }
            } catch {
                return .failure(error.sandboxError)
            }
            // Whoever never lets up sending does not hold anybody beyond the deadline.
            if ContinuousClock.now >= deadline { return .failure(Self.late) }
            if reads, !conversation.isReading {
                conversation.isReading = true
                return .success(.read)
            }
            guard let wakeup else { return .success(.prepare) }
            conversation.follow(wakeup)
            return .success(.follow)
        }
        return try decision.get()
    }

    private static func makeWakeup() throws(SandboxError) -> Wakeup {
        do throws(SystemError) {
            return try Wakeup()
        } catch {
            throw QMPError.system("\(error)").sandboxError
        }
    }

    private func read(until deadline: ContinuousClock.Instant) async throws {
        do {
            let bytes = try await socket.receive(until: deadline).bytes
            state.withLock {
                $0.feed(bytes)
                $0.stopReading()
            }
        } catch {
            state.withLock {
                if let error = error as? SystemError { $0.fail(.system("\(error)")) }
                $0.stopReading()
            }
            // The loop of the caller finds the failure.
            if !(error is SystemError) { throw error }
        }
    }

    private static var late: SandboxError { SandboxError(.deadlineExceeded, "The operation took too long.") }
}

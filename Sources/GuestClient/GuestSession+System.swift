public import SandboxModel
public import Wire

extension GuestSession {
    /// Connects to a TCP port on the loopback inside the sandbox.
    ///
    /// - Throws: ``SandboxError`` with `connection_refused` if nothing listens there, or as ``GuestSession`` says.
    public func dial(port: UInt16) async throws -> ByteTunnel {
        let (id, reply) = try await core.open(.dial(port: port), .tunnel, about: .port(port), deadline: answerDeadline)
        let handle = StreamHandle(core, id)
        guard case .ok = reply else { throw core.broken("a wrong reply to a dial") }
        return ByteTunnel(handle, about: .port(port))
    }

    /// Offers host services on loopback ports inside the sandbox and serves their connections.
    ///
    /// It runs **until the session ends or the task is cancelled**, which withdraws the offer and cancels the handlers;
    /// run it in a task group. Each connection (at most 256 at a time; more are refused) has a child task, in which
    /// `handler` gets the service's name and the connection; the connection is closed when the handler returns.
    ///
    /// - Throws: ``SandboxError`` with `invalid_state` while another offer runs, `invalid_request` if the guest cannot
    ///   listen on a port, or as ``GuestSession`` says. Returns normally when the session ends or the task is cancelled.
    public func offer(
        _ services: [HostService], handler: @escaping @Sendable (String, ByteTunnel) async -> Void
    ) async throws {
        let names = Set(services.map(\.name))
        try core.perform { (state, _) throws(SandboxError) in
            guard !state.offering else { throw SandboxError(.invalidState, "Services are offered already.") }
            state.offering = true
            state.offered = names
        }
        defer { core.withdrawOffer() }
        try await command(.services(services), about: .system("the services"))
        await withDiscardingTaskGroup { group in
            while let incoming = await core.nextService() {
                let tunnel = ByteTunnel(StreamHandle(core, incoming.stream), about: .service(incoming.name))
                group.addTask {
                    await handler(incoming.name, tunnel)
                    tunnel.close()
                }
            }
        }
    }

    /// Sets the guest's clock.
    ///
    /// - Parameter unixNanoseconds: Nanoseconds since 1970.
    public func setClock(unixNanoseconds: Int64) async throws {
        try await command(.setClock(unixNanoseconds: unixNanoseconds), about: .system("the clock"))
    }

    /// Mixes host randomness into the guest's; at most 512 bytes.
    public func addEntropy(_ bytes: [UInt8]) async throws {
        try await command(.addEntropy(bytes), about: .system("the random source"))
    }

    /// Has the guest's own kernel enforce what it can of the limits; once, before anything is started.
    ///
    /// What lies in memory inside gets less than half of it, so that a full `/tmp` is an error, and no process has to end
    /// for it.
    public func setLimits(_ limits: ResourceLimits) async throws {
        let memory = UInt64(limits.memoryMiB) << 20
        let guest = GuestLimits(
            processes: UInt32(clamping: limits.pids), temporaryBytes: min(512 << 20, memory / 4),
            sharedBytes: min(256 << 20, memory / 8), openFiles: UInt64(limits.openFiles))
        try await command(.setLimits(guest), about: .system("the limits"))
    }

    /// What the guest's init noticed, the latest 64 that nobody has taken. They are the guest's word, and nothing is
    /// said about their number. Ends with the session; one reader at a time.
    public var incidents: AsyncStream<Incident> { core.incidents }

    /// Sets the guest's host name.
    public func setHostname(_ name: String) async throws {
        try await command(.setHostname(name), about: .system("the host name"))
    }

    /// Tells the guest who it is, so that what programs tell machines apart by is its own: `/etc/machine-id`, and the boot id
    /// of a machine. A guest that is restored as another one than it was saved as has to be told; to one that is the
    /// same nothing happens. Call ``addEntropy(_:)`` before it.
    ///
    /// - Parameter identity: 16 bytes that are not all zero, the same for each start and wake of one sandbox.
    public func setIdentity(_ identity: [UInt8]) async throws {
        try await command(.setIdentity(identity), about: .system("the identity"))
    }

    /// What the guest's kernel says of itself.
    public func metrics() async throws -> GuestMetrics {
        let reply = try await core.ask(.metrics, about: .system("the metrics"), deadline: answerDeadline)
        guard case .metrics(let metrics) = reply else { throw core.broken("a wrong reply to metrics") }
        return metrics
    }

    private static var maximumBlockers: Int { 16 }

    /// What would make a checkpoint fail, a line each (the first 16, of at most 300 bytes); empty: nothing.
    public func checkpointBlockers() async throws -> [String] {
        let reply = try await core.ask(
            .checkpointBlockers, about: .system("the checkpoint's blockers"), deadline: answerDeadline)
        guard case .blockers(let lines) = reply else { throw core.broken("a wrong reply to checkpoint blockers") }
        return lines.prefix(Self.maximumBlockers).map { Subject.text(Array($0.utf8.prefix(300))) }
    }

    /// Ends all processes, by force after the grace, and then the init: the session ends soon after this returns.
    public func shutdown(grace: Duration) async throws {
        let (seconds, attoseconds) = grace.components
        let milliseconds = min(max(seconds, 0), 3600) * 1000 + max(attoseconds, 0) / 1_000_000_000_000_000
        try await command(
            .shutdown(graceMilliseconds: UInt32(clamping: milliseconds)), about: .system("the shutdown"),
            deadline: requestDeadline + .milliseconds(milliseconds))
    }
}

extension SessionCore {
    /// The next connection from inside; `nil` when the session ends or the task is cancelled.
    func nextService() async -> IncomingService? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                perform { state, effects in
                    if Task.isCancelled || state.failure != nil || state.acceptor != nil {
                        effects.hand(continuation, nil)
                    } else if let service = state.incoming.popFirst() {
                        effects.hand(continuation, service)
                    } else {
                        state.acceptor = continuation
                    }
                }
            }
        } onCancel: {
            perform { state, effects in
                guard let acceptor = state.acceptor else { return }
                state.acceptor = nil
                effects.hand(acceptor, nil)
            }
        }
    }

    /// Takes the services back, and closes connections that nobody has taken.
    func withdrawOffer() {
        perform { state, effects in
            state.offering = false
            state.offered = []
            while let service = state.incoming.popFirst() {
                state.abandon(service.stream, failing: nil, status: WireStatus(.refused), &effects)
            }
            // Nobody waits for the answer: the guest closes its listeners in any case.
            guard let id = try? state.reserve(.unary) else { return }
            state.announce(id, payload: Request.services([]).encoded(), deadline: nil, &effects)
            state.abandon(id, failing: nil, status: .ok, &effects)
        }
    }
}

internal import GuestClient
internal import Isolation
internal import SandboxImages
public import SandboxModel
internal import SandboxStorage
internal import Store
internal import Synchronization
internal import Wire

// What only looks on. None of it wakes a sandbox or keeps it awake.
extension SandboxRuntime {
    /// - Parameter reference: An id or a name.
    public func get(_ reference: String) async throws -> SandboxResource {
        let sandbox = try registry.find(reference)
        await refresh(sandbox)
        return sandbox.resource(clock: clock)
    }

    /// Asks the guest for its foreground processes, so that `awake_because` is of now and not of the last check.
    private func refresh(_ sandbox: Sandbox) async {
        let asked = clock.moment
        let known = sandbox.machine.withLock { machine -> Incarnation? in
            guard case .running(let incarnation) = machine.phase,
                machine.idle.isForegroundStale(now: asked, age: configuration.recheckInterval.seconds)
            else { return nil }
            return incarnation
        }
        guard let incarnation = known else { return }
        let processes = try? await deadline(.seconds(1)) { try await incarnation.session.processes() }
        guard let processes else { return }
        let (now, wall) = (clock.moment, clock.now)
        sandbox.machine.withLock { $0.idle.note(processes: processes, now: now, wall: wall) }
    }

    /// Sandboxes by creation time, oldest first.
    ///
    /// - Parameters:
    ///   - cursor: ``Page/nextCursor`` of the page before.
    ///   - limit: 1 to 200.
    /// - Throws: ``SandboxError`` with `invalid_cursor`, or `invalid_request` for a limit out of bounds.
    public func list(_ filter: SandboxFilter, cursor: String?, limit: Int) async throws -> Page<SandboxResource> {
        guard registry.isLoaded else { throw SandboxError.starting }
        let page = try await store.page(filter, cursor: cursor, limit: limit)
        // The records say which; how they are now is in memory.
        let items = page.items.compactMap { registry[$0.id]?.resource(clock: clock) }
        return Page(items: items, nextCursor: page.nextCursor)
    }

    /// Usage of a sandbox now.
    public func metrics(_ reference: String) async throws -> SandboxMetricsResource {
        let sandbox = try registry.find(reference)
        let incarnation = sandbox.machine.withLock { $0.incarnation }
        var stats = ExecutionStats(cpuNanoseconds: 0, memoryBytes: 0, processes: 0)
        var guest: GuestMetrics?
        if let incarnation {
            stats = (try? await incarnation.execution.stats()) ?? stats
            if sandbox.state == .running { guest = await guestMetrics(sandbox, incarnation) }
        }
        return SandboxMetricsResource(
            state: sandbox.state, cpuSeconds: Double(stats.cpuNanoseconds) / 1e9, memoryBytes: stats.memoryBytes,
            hostProcesses: stats.processes, diskBytes: try await storage.diskUsage(of: sandbox.id),
            guest: guest.map(GuestMetricsResource.init))
    }

    /// What the guest says of itself, at most a second old: the question costs CPU time inside, and those who ask often
    /// must not keep the sandbox awake by it.
    private func guestMetrics(_ sandbox: Sandbox, _ incarnation: Incarnation) async -> GuestMetrics? {
        let now = clock.moment
        let known = sandbox.lastMetrics.withLock { $0 }
        if let known, known.of == incarnation.id, now.seconds(since: known.at) < 1 { return known.value }
        let value = try? await deadline(.seconds(2)) { try await incarnation.session.metrics() }
        if let value { sandbox.lastMetrics.withLock { $0 = (incarnation.id, now, value) } }
        return value
    }

    /// Events after a sequence number, oldest first.
    ///
    /// - Parameters:
    ///   - after: `nil`: from the oldest that is kept.
    ///   - sandbox: An id (also of a sandbox that is gone) or a name; `nil`: all.
    ///   - limit: 1 to 1,000.
    public func events(after: Int64?, sandbox: String?, limit: Int) async throws -> [EventResource] {
        guard (1...1000).contains(limit) else {
            throw SandboxError(.invalidRequest, "limit must be between 1 and 1000.")
        }
        var id: SandboxID?
        if let sandbox { id = try SandboxID(sandbox) ?? registry.find(sandbox).id }
        return try await store.events(after: after ?? 0, sandbox: id, limit: limit)
    }

    /// Events as they happen, each exactly once and in order, however slow the reader is (those that the store has
    /// forgotten meanwhile are skipped: their sequence numbers are missing). Ends when the server stops.
    ///
    /// - Parameters:
    ///   - after: Begins with the events after this one; `nil`: with those that happen from now on.
    ///   - sandbox: An id or a name; `nil`: all. For a name that nobody has, the stream ends at once.
    public func followEvents(after: Int64?, sandbox: String?) -> AsyncStream<EventResource> {
        var id: SandboxID?
        if let sandbox {
            guard let found = SandboxID(sandbox) ?? (try? registry.find(sandbox).id) else {
                return AsyncStream { $0.finish() }
            }
            id = found
        }
        let follower = EventFollower(store: store, feed: feed, after: after, sandbox: id)
        // "From now on" begins with this call, not with the first read.
        _ = operations.submit { await follower.prepare() }
        return AsyncStream { await follower.next() }
    }

    /// All templates, by name.
    public func templates() async throws -> [TemplateResource] { try await images.all().map(\.resource) }

    /// - Throws: ``SandboxError`` with `template_not_found`.
    public func template(_ name: String) async throws -> TemplateResource { try await images.template(name).resource }

    /// What each tier can do on this machine.
    public func capabilities() async -> CapabilitiesResource {
        var tiers: [CapabilitiesResource.Tier] = []
        for name in drivers.keys.sorted() {
            guard let found = await capabilities(of: name) else { continue }
            let ability = { (ability: DriverCapabilities.Ability) in
                CapabilitiesResource.Tier.Ability(available: ability.available, reason: ability.reason)
            }
            tiers.append(
                .init(
                    name: found.tier, version: found.version, run: ability(found.run), pause: ability(found.pause),
                    standby: ability(found.checkpoint), limits: ability(found.limits),
                    acceleration: found.acceleration.map(ability)))
        }
        return CapabilitiesResource(isolation: tiers, network: NetworkMode.allCases.map(\.rawValue))
    }

    /// Whether the server is ready, and how many sandboxes are in each state.
    public func health() -> HealthResource {
        let counts = Dictionary(grouping: registry.all, by: { $0.state.rawValue }).mapValues(\.count)
        return HealthResource(
            status: isReady ? "ok" : "starting", sandboxes: counts, prebooted: prebooted.withLock { $0.count })
    }

    /// Changes labels or rules of life.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request` if a value is out of its bounds.
    public func update(_ reference: String, _ change: SandboxChange) async throws -> SandboxResource {
        let sandbox = try registry.find(reference)
        // Read, changed and written in one transaction, and numbered in it: two changes at once never lose a field.
        let changed = try await store.changeSpec(
            of: sandbox.id, events: [event("sandbox.updated", sandbox)]
        ) { [self] current -> (ValidatedSpec, UInt64) in
            var spec = current.value
            if let labels = change.labels { spec.labels = labels }
            if let lifecycle = change.lifecycle { spec.lifecycle = lifecycle.applied(to: spec.lifecycle) }
            return (try spec.validated(), specChanges.wrappingAdd(1, ordering: .relaxed).newValue)
        }
        guard let (spec, number) = changed else { throw SandboxError.notFound(reference) }
        feed.signal()
        sandbox.machine.withLock { $0.confirm(spec, change: number) }
        return sandbox.resource(clock: clock)
    }

    /// A tier's capabilities. The driver finds them out once and remembers them.
    func capabilities(of tier: String) async -> DriverCapabilities? { await drivers[tier]?.capabilities() }
}

extension GuestMetricsResource {
    init(_ metrics: GuestMetrics) {
        self.init(
            cpuUserSeconds: Double(metrics.cpuUserMilliseconds) / 1000,
            cpuSystemSeconds: Double(metrics.cpuSystemMilliseconds) / 1000,
            memoryTotalBytes: metrics.memoryTotalKiB * 1024, memoryAvailableBytes: metrics.memoryAvailableKiB * 1024,
            processes: Int(metrics.processes), uptimeSeconds: Double(metrics.uptimeMilliseconds) / 1000)
    }
}

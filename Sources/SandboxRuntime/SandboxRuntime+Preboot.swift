internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxImages
internal import SandboxModel
internal import SandboxStorage
internal import Synchronization
internal import Wire

/// A sandbox that was booted ahead: its init runs, its session is open, its root is empty, and it is frozen. It has an
/// identifier and a directory and no record: after a crash of the server it is an orphan like any other, and removed.
struct Prebooted: Sendable, Identifiable {
    let id: SandboxID
    let kind: PrebootKind
    let incarnation: Incarnation
}

// Sandboxes that are booted before anybody asks for them.
extension SandboxRuntime {
    /// How long the machine must have been free of starts before one is booted ahead: those who wait come first.
    private static let quiet = Duration.milliseconds(150)
    private static let pace = Duration.milliseconds(50)
    /// How long a busy machine may put it off. It then competes, with little weight.
    private static let longestWait = Duration.seconds(5)
    /// How long the taking of a member may hold up a creation, which then boots one of its own.
    private static let adoptionDeadline = Duration.seconds(2)

    /// Keeps the pool as it should be until the server stops, and then removes what is in it.
    func preboot() async {
        while !isReady || configuration.preboot == 0 {
            do { try await Task.sleep(for: Self.quiet) } catch { return }
        }
        await noteUsualDemand()
        var quietSince = clock.moment
        var lastStarts = starts.load(ordering: .relaxed)
        var load = HostLoad()
        while !Task.isCancelled, !isStopping {
            let (now, count) = (clock.moment, starts.load(ordering: .relaxed))
            if count != lastStarts || isStarting { (quietSince, lastStarts) = (now, count) }
            let quiet = now.seconds(since: quietSince)
            load.sample(at: now)
            let mayBoot = quiet >= Self.quiet.seconds && (load.hasRoom || quiet >= Self.longestWait.seconds)
            switch prebooted.withLock({ $0.next(now: now, mayBoot: mayBoot, fits: hasRoomAhead) }) {
            case .boot(let kind):
                await bootAhead(kind)
                // What it took itself says nothing about the others.
                load = HostLoad()
            case .drop(let member): await discard(member)
            case .wait:
                telemetry.prebooted(prebooted.withLock { $0.count })
                do { try await Task.sleep(for: Self.pace) } catch { break }
            }
        }
    }

    /// Takes no more in and removes what is there. Called at the end of the server.
    func endPreboot() async {
        let members = prebooted.withLock { $0.close() }
        await withDiscardingTaskGroup { group in
            for member in members { group.addTask { await self.discard(member) } }
        }
    }

    /// The first creation on a server is most likely the plainest.
    private func noteUsualDemand() async {
        guard let spec = try? SandboxSpec().validated(), let kind = await kind(of: spec) else { return }
        prebooted.withLock { $0.note(kind, now: clock.moment) }
    }

    private var isStarting: Bool {
        let queue = admission.queue
        return queue.waiting > 0 || !queue.starting.isEmpty
    }

    /// Whether one more fits without anybody having to make room.
    private func hasRoomAhead(_ kind: PrebootKind) -> Bool {
        let policy = admission.policy
        guard (admission.queue.reserved + Demand(kind.limits)).fits(in: policy.budget) else { return false }
        guard let available = policy.availableMemory() else { return true }
        return available > policy.memoryReserve + configuration.freshMemory
    }

    /// Gives one member up, because others need its place. Room is made again when it has left.
    ///
    /// - Returns: Whether there was one.
    func giveUpPrebooted() -> Bool {
        guard let member = prebooted.withLock({ $0.giveUpOne(now: clock.moment) }) else { return false }
        return operations.submit { [self] in
            await discard(member)
            makeRoom()
        }
    }

    // MARK: Making

    /// What a creation by this specification needs; `nil` if it cannot be known, or nothing is booted ahead.
    private func kind(of spec: ValidatedSpec) async -> PrebootKind? {
        guard configuration.preboot > 0, let template = try? await images.template(spec.value.template) else {
            return nil
        }
        guard let limits = try? limits(of: spec, template.resource),
            let tier = try? await tier(of: spec, template.resource)
        else { return nil }
        return PrebootKind(
            tier: tier, template: spec.value.template,
            templateVersion: template.resource.version, initLayer: shared.withLock { $0.initLayer },
            limits: limits, durable: spec.isDurable)
    }

    private func bootAhead(_ kind: PrebootKind) async {
        let (id, execution) = (SandboxID(), ExecutionID())
        admission.hold(id, Demand(kind.limits))
        do {
            let template = try await images.template(kind.template, version: kind.templateVersion)
            try await storage.createSandbox(id, durable: kind.durable, diskMiB: kind.limits.diskMiB)
            let request = try await startRequest(
                id, execution, rootfs: template.rootfs, initLayer: kind.initLayer, hostname: id.hostname,
                limits: kind.limits, durable: kind.durable, fresh: true, isAhead: true)
            guard let driver = drivers[kind.tier] else { throw SandboxError(.unsupported, "There is no such tier.") }
            let incarnation = Incarnation(execution: try await driver.start(request))
            try await rehearse(in: incarnation, Prepared(template, SandboxSpec()).defaults)
            try await incarnation.execution.hold()
            let member = Prebooted(id: id, kind: kind, incarnation: incarnation)
            let isTaken = prebooted.withLock { $0.booted(member, kind, now: clock.moment) }
            guard isTaken else { return await discard(member) }
            watch(member)
        } catch {
            logger.warning("A sandbox could not be booted ahead", metadata: ["error": "\(error)"])
            _ = prebooted.withLock { $0.booted(nil, kind, now: clock.moment) }
            await remove(id, execution, tier: kind.tier)
        }
    }

    /// The first process in a sandbox takes many times as long as the second: the guest's kernel has to find the shell,
    /// the loader and the libraries, and the init its own way. Nobody has to wait for that here.
    private func rehearse(in incarnation: Incarnation, _ defaults: GuestDefaults) async throws {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", "/bin/true"])
        start.environment = defaults.environment
        start.directory = defaults.directory
        start.user = defaults.user
        let rehearsal = start
        try await deadline(configuration.guestDeadline) { try await incarnation.session.rehearse(rehearsal) }
    }

    /// Forgets a member when its processes end.
    private func watch(_ member: Prebooted) {
        _ = watchers.submit {
            _ = await member.incarnation.execution.ended()
            // A server that ends stops watching; that says nothing about the member.
            guard !Task.isCancelled, let dead = self.prebooted.withLock({ $0.remove(member.id) }) else { return }
            self.logger.warning("A sandbox that was booted ahead died", metadata: ["sandbox": "\(member.id)"])
            await self.discard(dead)
        }
    }

    private func discard(_ member: Prebooted) async {
        await member.incarnation.session.close()
        await remove(member.id, member.incarnation.id, tier: member.kind.tier)
    }

    private func remove(_ id: SandboxID, _ execution: ExecutionID, tier: String) async {
        do {
            try await drivers[tier]?.destroy(execution)
            try await storage.trashSandbox(id)
            admission.release(id)
            sweepLater()
        } catch {
            // The next start of the server finds it without a record, and removes it.
            logger.warning("A sandbox that was booted ahead was not removed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Taking

    /// A member that can become what is asked for; `nil`: there is none, and the creation makes its own.
    func takePrebooted(for spec: ValidatedSpec) async -> Prebooted? {
        guard let kind = await kind(of: spec) else { return nil }
        let member = prebooted.withLock { pool in
            pool.note(kind, now: clock.moment)
            return pool.take(kind)
        }
        telemetry.prebootedTaken(member != nil)
        // The creation asks for the place itself.
        if let member { admission.release(member.id) }
        return member
    }

    /// The creation came to nothing before it used the member.
    func giveBack(_ member: Prebooted) async {
        admission.hold(member.id, Demand(member.kind.limits))
        if !prebooted.withLock({ $0.giveBack(member, member.kind) }) { await discard(member) }
    }

    /// Wakes a member as the sandbox that it is to be.
    ///
    /// - Returns: `nil` if it does not answer: then nothing of it is left but its empty directory.
    func adopt(_ member: Prebooted, as sandbox: Sandbox) async throws -> Incarnation? {
        let incarnation = member.incarnation
        do {
            try await incarnation.execution.keep()
            try await incarnation.execution.resume()
            try await deadline(Self.adoptionDeadline) {
                if let name = sandbox.name {
                    try await incarnation.session.setHostname(name)
                } else {
                    try await incarnation.session.ping(deadline: Self.adoptionDeadline)
                }
            }
            return incarnation
        } catch {
            logger.warning("A sandbox that was booted ahead does not answer", metadata: log(sandbox, error))
            await incarnation.session.close()
            try await destroy(incarnation.id, of: sandbox)
            return nil
        }
    }
}

internal import GuestClient
internal import Isolation
internal import Logging
internal import SandboxModel
internal import Synchronization
internal import Wire

// What lasts as long as an incarnation.
extension SandboxRuntime {
    /// Watches for the unexpected end of an incarnation, and serves its host services meanwhile.
    func watch(_ sandbox: Sandbox, _ incarnation: Incarnation) {
        _ = watchers.submit {
            guard let loss = await self.firstLoss(sandbox, incarnation), !Task.isCancelled, !self.isStopping else {
                return
            }
            if let work = sandbox.machine.withLock({ $0.lost(incarnation.id, loss, now: self.clock.moment) }) {
                self.begin(work, on: sandbox)
            }
        }
    }

    /// - Returns: `nil` if the session was closed on purpose, or the watch was cancelled.
    private func firstLoss(_ sandbox: Sandbox, _ incarnation: Incarnation) async -> SandboxMachine.Loss? {
        await withTaskGroup(of: SandboxMachine.Loss?.self) { group in
            group.addTask { .execution(await incarnation.execution.ended()) }
            group.addTask {
                await self.tell(incarnation.session.incidents, of: sandbox)
                // Ends with the session, whose end is told below.
                while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
                return nil
            }
            group.addTask {
                await self.serve(sandbox, incarnation)
                guard let error = await incarnation.session.ended(), error.code != .cancelled else { return nil }
                // The session of an execution that ends breaks first; its end says more.
                try? await Task.sleep(for: .milliseconds(500))
                return .session(error)
            }
            defer { group.cancelAll() }
            guard let first = await group.next() else { return nil }
            return first
        }
    }

    /// Offers the host's services inside, until the session ends.
    private func serve(_ sandbox: Sandbox, _ incarnation: Incarnation) async {
        guard let port = configuration.metadataPort else { return }
        let clock = clock
        do {
            try await incarnation.session.offer([HostService(name: MetadataService.name, port: port)]) { _, tunnel in
                await MetadataService(sandbox: sandbox, clock: clock).serve(tunnel)
            }
        } catch {
            // A session that ended in the meantime is told by whoever ended it.
            let level: Logger.Level =
                sandbox.machine.withLock { $0.incarnation?.id == incarnation.id } ? .warning : .debug
            logger.log(level: level, "Host services cannot be offered", metadata: log(sandbox, error))
        }
    }
}

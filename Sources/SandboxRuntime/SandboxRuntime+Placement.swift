internal import Isolation
internal import SandboxModel
internal import Synchronization

// Keeps sandboxes on one core while the machine is short of them.
extension SandboxRuntime {
    private static let pace = Duration.milliseconds(100)

    /// Somebody begins to use a sandbox that runs.
    func place(_ sandbox: Sandbox, _ incarnation: Incarnation) async {
        let core = placement.withLock { $0.enter(sandbox.id, now: clock.moment) }
        if let core { await incarnation.execution.confine(to: core) }
    }

    /// The use ends.
    func unplace(_ sandbox: Sandbox) { placement.withLock { $0.leave(sandbox.id, now: clock.moment) } }

    /// Lets sandboxes run everywhere again that need more than one core, or that nobody uses any more.
    func tendPlacement() async {
        while !Task.isCancelled {
            await lookAtPlacement()
            do { try await clock.sleep(for: Self.pace) } catch { return }
        }
    }

    func lookAtPlacement() async {
        guard placement.withLock({ $0.isActive }) else { return }
        var cpu: [SandboxID: UInt64] = [:]
        for id in placement.withLock({ $0.placed }) {
            guard let execution = execution(of: id) else { continue }
            cpu[id] = try? await execution.stats().cpuNanoseconds
        }
        let released = placement.withLock { $0.look(now: clock.moment, cpu: cpu) }
        for id in released { await execution(of: id)?.confine(to: nil) }
    }

    /// Only of one that is not just being changed.
    private func execution(of id: SandboxID) -> (any Execution)? {
        (try? registry.find(id.rawValue))?.machine.withLock { $0.incarnation }?.execution
    }
}

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
            guard case .settled(let execution) = standing(of: id) else { continue }
            cpu[id] = try? await execution.stats().cpuNanoseconds
        }
        for id in placement.withLock({ $0.look(now: clock.moment, cpu: cpu) }) {
            switch standing(of: id) {
            // In the middle of a transition nobody could let it go: the next look finds it again.
            case .changing: break
            case .absent: placement.withLock { $0.release(id) }
            case .settled(let execution):
                placement.withLock { $0.release(id) }
                await execution.confine(to: nil)
            }
        }
    }

    private enum Standing {
        case absent, changing
        case settled(any Execution)
    }

    private func standing(of id: SandboxID) -> Standing {
        guard let sandbox = try? registry.find(id.rawValue) else { return .absent }
        return sandbox.machine.withLock { machine in
            if machine.transition != nil { return .changing }
            return machine.incarnation.map { .settled($0.execution) } ?? .absent
        }
    }
}

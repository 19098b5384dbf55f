internal import Glibc
public import GuestClient
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import QMP
public import SandboxModel

/// A machine that runs.
public final class MicroVMExecution: Execution {
    public let id: ExecutionID
    public let guest: GuestSession
    let slot: MachineSlot

    init(id: ExecutionID, guest: GuestSession, slot: MachineSlot) {
        self.id = id
        self.guest = guest
        self.slot = slot
    }

    private var deadline: ContinuousClock.Instant { .now + .seconds(10) }

    public func keep() async throws { try await slot.place.shim.setProvisional(false, until: deadline) }

    public func pause() async throws { try await slot.monitor(until: deadline).run(.stop, until: deadline) }

    /// A machine that stands still needs no CPU, so there is nothing cheaper than a pause.
    public func hold() async throws { try await pause() }

    /// A guest's idle kernel sleeps by itself.
    public func doze() async {}
    public func rouse() async {}
    public func confine(to core: Int?) async {}

    public func resume() async throws { try await slot.monitor(until: deadline).run(.cont, until: deadline) }

    public func checkpoint(to directory: String) async throws -> [String: UInt64] {
        throw SandboxError(.unsupported, MicroVMDriver.noCheckpoint)
    }

    public func syncFiles() async throws { throw SandboxError(.unsupported, MicroVMDriver.noCheckpoint) }

    public func stats() async throws -> ExecutionStats {
        guard let cgroup = slot.place.cgroup else {
            throw SandboxError(.unsupported, "This machine has no control groups to count a sandbox's usage with.")
        }
        do {
            return try await BlockingPool.shared.run {
                ExecutionStats(
                    cpuNanoseconds: try cgroup.cpuNanoseconds(), memoryBytes: try cgroup.memoryBytes(),
                    processes: try cgroup.processes().count)
            }
        } catch {
            throw SandboxError(.driverFailed, "The sandbox's usage cannot be read.", cause: error)
        }
    }

    public func ended() async -> ExecutionEnd {
        do {
            let ending = try await slot.place.shim.ended()
            let kills = (try? slot.place.cgroup?.outOfMemoryKills()) ?? 0
            return ExecutionEnd(
                code: ending.code, outOfMemory: kills > 0 || ending.outOfMemory,
                detail: slot.place.lastWords(["stderr"]))
        } catch {
            return ExecutionEnd(code: nil, detail: "\((error as? SandboxError)?.cause ?? error)")
        }
    }
}

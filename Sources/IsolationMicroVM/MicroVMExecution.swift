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

    public func stats() async throws -> ExecutionStats { try await slot.place.stats() }

    public func ended() async -> ExecutionEnd { await slot.place.ended(["stderr"]) }
}

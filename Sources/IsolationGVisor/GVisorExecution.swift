internal import Faults
internal import Glibc
public import GuestClient
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import Logging
public import SandboxModel
internal import Synchronization

/// A running sandbox of the gVisor driver.
public final class GVisorExecution: Execution {
    public let id: ExecutionID
    public let guest: GuestSession
    let slot: GVisorSlot
    private let usesSocket: Bool
    private let logger: Logger
    /// How the guest's processes are stopped: not at all, by the host's kernel alone, or by gVisor.
    private enum Rest: Sendable {
        case none, held, paused
    }

    private let rest = Mutex(Rest.none)
    private let threads: SlotThreads

    init(id: ExecutionID, guest: GuestSession, slot: GVisorSlot, usesSocket: Bool, isNew: Bool, logger: Logger) {
        self.id = id
        self.guest = guest
        self.slot = slot
        self.usesSocket = usesSocket
        self.logger = logger
        threads = SlotThreads(slot.cgroup, isNew: isNew)
    }

    private var callDeadline: ContinuousClock.Instant { .now + .seconds(10) }

    public func keep() async throws { try await slot.shim.setProvisional(false, until: callDeadline) }

    public func pause() async throws {
        try await halt()
        slot.freeze(logger)
    }

    public func hold() async throws {
        guard rest.withLock({ $0 }) == .none else { return }
        rest.withLock { $0 = .held }
        slot.freeze(logger)
    }

    public func doze() async {
        guard rest.withLock({ $0 }) == .none else { return }
        await threads.set { $0.isLazy = true }
    }

    public func rouse() async { await threads.set { $0.isLazy = false } }

    public func confine(to core: Int?) async { await threads.set { $0.core = core } }

    /// Stops the guest's processes; gVisor's own go on.
    private func halt() async throws {
        switch rest.withLock({ $0 }) {
        case .paused: return
        case .held: try await resume()
        case .none: break
        }
        await rouse()
        // A resume that was not preceded by a pause would end the sandbox, so a later server must know.
        slot.mark(.pausing)
        try Step.pauseMarked.reached()
        try await slot.pause(usesSocket: usesSocket, until: callDeadline)
        rest.withLock { $0 = .paused }
        Step.pauseEffected.passed()
        slot.mark(.paused)
    }

    public func resume() async throws {
        let former = rest.withLock { $0 }
        guard former != .none else { return }
        try slot.thaw()
        guard former == .paused else { return rest.withLock { $0 = .none } }
        slot.mark(.resuming)
        try Step.resumeMarked.reached()
        try await slot.resume(usesSocket: usesSocket, until: callDeadline)
        rest.withLock { $0 = .none }
        Step.resumeEffected.passed()
        slot.mark(nil)
    }

    @discardableResult
    public func checkpoint(to directory: String) async throws -> [String: UInt64] {
        let memory = try await memoryInUse()
        let free = try await BlockingPool.shared.run { try DiskSpace.free(directory) }
        // A failed checkpoint ends the sandbox, so what can be known before is looked at before.
        guard free > memory + CheckpointImage.margin else {
            throw SandboxError(
                .noSpace, "The host's disk has no room for the sandbox's memory.",
                hint: "free \((memory + CheckpointImage.margin - free) >> 20) MiB more and try again")
        }
        try slot.thaw()
        try await halt()
        do {
            try Step.saveBegun.reached()
            let checksums = try await slot.save(
                to: directory, usesSocket: usesSocket, until: .now + CheckpointImage.deadline(bytes: memory))
            try Step.saveDone.reached()
            return checksums
        } catch {
            await CheckpointImage.remove(from: directory)
            throw (error as? SystemError)?.sandboxError(.driverFailed, "The checkpoint's files cannot be made.")
                ?? error
        }
    }

    public func syncFiles() async throws {
        let layer = try await slot.shim.layer(until: callDeadline)
        do {
            try await BlockingPool.shared.run { try DurableFile.syncFileSystem(of: layer) }
        } catch let error as SystemError {
            throw error.sandboxError(.driverFailed, "The sandbox's files could not be written to the device.")
        }
    }

    private func memoryInUse() async throws -> UInt64 {
        let cgroup = slot.cgroup
        let sandbox = try await slot.shim.information(until: callDeadline).sandbox
        return try await BlockingPool.shared.run {
            if let bytes = try? cgroup?.memoryBytes() { return bytes }
            return ProcessFacts(pid: sandbox)?.residentBytes ?? 0
        }
    }

    public func stats() async throws -> ExecutionStats { try await slot.place.stats() }

    public func ended() async -> ExecutionEnd { await slot.place.ended(["stderr", "panic.log"]) }
}

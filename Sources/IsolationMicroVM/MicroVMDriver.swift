internal import Glibc
internal import GuestClient
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import Logging
internal import QMP
public import SandboxModel
internal import Shim
internal import Synchronization

/// Sandboxes as virtual machines: each has a kernel of its own, and a monitor (QEMU) in a jail.
///
/// Each execution has a slot: a folder in the run directory with a shim process, which is the parent of QEMU. The machine
/// boots Debian's kernel and the init on two disks, the template's, which all share, and the sandbox's own.
public final class MicroVMDriver: IsolationDriver {
    /// What sandboxes of this driver are called.
    public static let tier = "microvm"
    static let noCheckpoint = "Virtual machines cannot be written to disk yet."

    let configuration: MicroVMConfiguration
    let layout: CgroupLayout?
    let executions = ExecutionTable<MachineSlot>()
    /// Begins the identifiers of this server's slots.
    let owner = randomToken(6)
    private let users: HostUsers
    private let disks = Mutex<[String: SingleFlight]>([:])
    private let leftovers = Mutex<[MachineSlot]>([])
    let known = Mutex<DriverCapabilities?>(nil)
    let finding = SingleFlight()

    public init(configuration: MicroVMConfiguration) {
        self.configuration = configuration
        let layout = CgroupLayout.current()
        self.layout = layout.obstacle == nil ? layout : nil
        users = HostUsers(first: configuration.firstUser, count: configuration.userCount)
    }

    /// Machines are not prepared ahead.
    public func prewarm(_ count: Int) async {}

    // MARK: Starting

    public func start(_ request: StartRequest) async throws -> any Execution {
        guard case .image(let layer, _) = request.root.layer, let rootfs = request.root.lower.last else {
            throw SandboxError(
                .unsupported, "A virtual machine needs a disk of bounded size.",
                hint: "start the server without --disk-quota 0")
        }
        try executions.reserve(request.execution)
        var taken: MachineSlot?
        do {
            let kernel = try await BlockingPool.shared.run { [configuration] in try GuestKernel.current(configuration) }
            try await prepareDisk(rootfs)
            let slot = try await makeSlot(request.limits)
            taken = slot
            try executions.bind(request.execution, to: slot)
            let files = [
                ShimFile(path: kernel.image, name: MachineCommand.File.kernel, isWritable: false),
                ShimFile(path: kernel.initramfs, name: MachineCommand.File.initramfs, isWritable: false),
                ShimFile(path: TemplateDisk.path(rootfs), name: MachineCommand.File.template, isWritable: false),
                ShimFile(path: layer, name: MachineCommand.File.layer, isWritable: true),
            ]
            let guest = try await boot(request, slot, files)
            try executions.confirm(request.execution)
            return MicroVMExecution(id: request.execution, guest: guest, slot: slot)
        } catch {
            if let taken { await discard(taken) }
            executions.remove(request.execution)
            throw driverError(error, "The machine could not be started.")
        }
    }

    public func restore(_ request: RestoreRequest) async throws -> any Execution {
        throw SandboxError(.unsupported, Self.noCheckpoint)
    }

    /// A slot in which QEMU waits for a machine's files.
    func makeSlot(_ limits: ResourceLimits) async throws -> MachineSlot {
        let user = try await users.take(configuration)
        defer { users.settle(user) }
        let slot = MachineSlot(users.name(owner + randomToken(8), user), configuration: configuration, layout: layout)
        do {
            try await slot.start(try command(limits), user: user, configuration)
            return slot
        } catch {
            await discard(slot)
            throw error
        }
    }

    private func command(_ limits: ResourceLimits) throws -> MachineCommand {
        guard let rate = TimestampCounter.kilohertz() else {
            throw SandboxError(.unsupported, "This machine's processor has no timestamp counter.")
        }
        return MachineCommand(
            qemuPath: configuration.qemuPath, accelerator: .tcg, memoryMiB: limits.memoryMiB,
            processors: max(1, Int(limits.cpus.rounded(.up))), clockRate: rate)
    }

    private func prepareDisk(_ rootfs: String) async throws {
        let flight = disks.withLock { disks in
            let flight = disks[rootfs] ?? SingleFlight()
            disks[rootfs] = flight
            return flight
        }
        try await flight.run { try await TemplateDisk.prepare(rootfs) }
    }

    private func boot(_ request: StartRequest, _ slot: MachineSlot, _ files: [ShimFile]) async throws -> GuestSession {
        let deadline = ContinuousClock.now + configuration.bootDeadline
        let overhead = configuration.memoryOverhead
        try await BlockingPool.shared.run {
            try slot.place.assign(execution: request.execution, sandbox: request.sandbox)
            try slot.place.cgroup?.apply(request.limits, memoryOverhead: overhead, processOverhead: 256)
        }
        if request.isAhead { try await slot.place.shim.setProvisional(true, until: deadline) }
        let channel = try await slot.place.shim.channel(until: deadline)
        async let opening = GuestSession.open(
            descriptor: channel.take(), deadline: configuration.bootDeadline, logger: configuration.logger)
        try await slot.boot(files, until: deadline)
        slot.place.dropLease()
        let guest = try await opening
        try await guest.setLimits(request.limits)
        try await greet(guest, request.hostname)
        return guest
    }

    /// Tells the guest what it cannot know: a machine has no clock, no randomness and no name but the host's.
    private func greet(_ guest: GuestSession, _ hostname: String) async throws {
        var generator = SystemRandomNumberGenerator()
        let entropy = (0..<80).map { _ in UInt8.random(in: 0...UInt8.max, using: &generator) }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        try await guest.setClock(unixNanoseconds: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
        try await guest.addEntropy(Array(entropy[..<64]))
        try await guest.setIdentity(Array(entropy[64...]))
        try await guest.setHostname(hostname)
    }

    // MARK: Surviving a server

    public func survivors() async throws -> [ExecutionID] {
        var found: [ExecutionID] = []
        for (slot, execution) in try await recordedSlots() where !slot.place.id.hasPrefix(owner) {
            if let execution {
                found.append(execution)
            } else {
                await discard(slot)
            }
        }
        return found
    }

    public func reattach(_ id: ExecutionID) async throws -> any Execution {
        guard let slot = try await recordedSlots().first(where: { $0.1 == id })?.0 else {
            throw SandboxError(.driverFailed, "The sandbox's processes are gone.")
        }
        let isNew = try executions.adopt(id)
        do {
            try executions.bind(id, to: slot)
            let deadline = ContinuousClock.now + .seconds(20)
            guard try await slot.place.shim.information(until: deadline).state == "attached" else {
                throw SandboxError(.driverFailed, "The sandbox's processes are gone.")
            }
            try await slot.place.shim.setProvisional(false, until: deadline)
            // A former server may have left it paused; one that runs is not disturbed by this.
            try await slot.monitor(until: deadline).run(.cont, until: deadline)
            let channel = try await slot.place.shim.channel(until: deadline)
            let guest = try await GuestSession.open(
                descriptor: channel.take(), deadline: .seconds(20), logger: configuration.logger)
            return MicroVMExecution(id: id, guest: guest, slot: slot)
        } catch {
            if isNew { executions.remove(id) }
            throw driverError(error, "The sandbox cannot be reattached.")
        }
    }

    private func recordedSlots() async throws -> [(MachineSlot, ExecutionID?)] {
        let (configuration, layout) = (configuration, layout)
        return try await BlockingPool.shared.run {
            try ShimSlot.recorded(in: configuration.slotsDirectory).map { id in
                let slot = MachineSlot(id, configuration: configuration, layout: layout)
                return (slot, slot.place.assignment)
            }
        }
    }

    // MARK: Ending

    public func destroy(_ id: ExecutionID) async throws {
        do {
            try await executions.destroy(id) {
                try await $0.remove()
            } recorded: {
                try await recordedSlots().filter { $0.1 == id }.map(\.0)
            }
        } catch {
            throw driverError(error, "The sandbox was not removed completely.")
        }
    }

    /// Removes a slot that nobody uses; where that fails now, again with the next one.
    func discard(_ slot: MachineSlot) async {
        let slots = leftovers.withLock { leftovers in
            defer { leftovers = [] }
            return leftovers + [slot]
        }
        for slot in slots {
            do {
                try await slot.remove()
            } catch {
                configuration.logger.error(
                    "a machine's slot was not removed", metadata: ["slot": "\(slot.place.id)", "error": "\(error)"])
                leftovers.withLock { $0.append(slot) }
            }
        }
    }
}

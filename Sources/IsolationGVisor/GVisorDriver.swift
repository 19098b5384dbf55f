internal import Faults
internal import Glibc
internal import GuestClient
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import Logging
public import SandboxModel
internal import Shim
internal import Synchronization

/// Sandboxes in gVisor: a kernel in user space between the guest and the host, without virtualisation hardware.
///
/// Each execution has a slot: a folder in the run directory with a shim process, which is the parent of runsc's two
/// processes. Slots are created on an empty root and can be prepared ahead (``prewarm(_:)``, ``run()``); the sandbox's
/// own root takes its place when the slot is taken.
public final class GVisorDriver: IsolationDriver {
    let configuration: GVisorConfiguration
    let layout: CgroupLayout?
    let executions = ExecutionTable<GVisorSlot>()
    let pool: SlotPool
    /// Slots that could not be removed.
    private let leftovers = Mutex<[GVisorSlot]>([])
    private let setting: Mutex<Setting>
    let probe = CapabilityProbe()
    /// Begins the identifiers of this server's slots.
    let owner = randomToken(6)

    struct Setting: Sendable {
        var usesSocket: Bool?
    }

    public init(configuration: GVisorConfiguration) {
        self.configuration = configuration
        let layout = CgroupLayout.current()
        self.layout = layout.obstacle == nil ? layout : nil
        let known: Bool? =
            switch configuration.control {
            case .automatic: nil
            case .socket: true
            case .commandLine: false
            }
        setting = Mutex(Setting(usesSocket: known))
        pool = SlotPool(target: configuration.prewarm)
    }

    /// Keeps the pool of prepared slots filled until the task is cancelled, and then drops them.
    public func run() async throws {
        await pool.run(configuration.logger) { [logger = configuration.logger] in
            await self.discardAgain()
            let slot = try await self.createSlot(isAhead: true)
            slot.freeze(logger)
            return slot
        } drop: {
            await self.discard($0)
        }
        await discardAgain()
    }

    public func prewarm(_ count: Int) async {
        for slot in pool.setTarget(max(0, count)) { await discard(slot) }
    }

    /// Removes a slot that nobody uses. Where that fails now, for want of descriptors for example, it is tried again before
    /// the next slot is prepared, and at the end.
    func discard(_ slot: GVisorSlot) async {
        do {
            try await slot.remove()
        } catch {
            configuration.logger.error(
                "a sandbox slot was not removed", metadata: ["slot": "\(slot.id)", "error": "\(error)"])
            leftovers.withLock { $0.append(slot) }
        }
    }

    private func discardAgain() async {
        let slots = leftovers.withLock { leftovers in
            defer { leftovers = [] }
            return leftovers
        }
        for slot in slots { await discard(slot) }
    }

    // MARK: Starting

    public func start(_ request: StartRequest) async throws -> any Execution {
        try await execute(request, restored: false) { slot, usesSocket in try await self.begin(slot, usesSocket) }
    }

    public func restore(_ request: RestoreRequest) async throws -> any Execution {
        let directory = request.checkpoint
        let image: (files: [FileDescriptor], bytes: UInt64)
        do {
            image = try await BlockingPool.shared.run { try CheckpointImage.open(in: directory) }
        } catch {
            throw SandboxError(.driverFailed, "The sandbox's checkpoint is not whole.", cause: error)
        }
        let duration = CheckpointImage.deadline(bytes: image.bytes)
        // The image is looked at while the slot is taken and gets its root.
        let verification = SingleFlight()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await verification.run(request.verify) }
            return try await execute(request.start, restored: true) { slot, usesSocket in
                try await verification.run(request.verify)
                try await self.load(directory, image.files, into: slot, usesSocket, duration)
            }
        }
    }

    /// Starts the init on the root that was put on the slot.
    func begin(_ slot: GVisorSlot, _ usesSocket: Bool) async throws {
        guard usesSocket else { return try await slot.runsc.run(["start"], until: .now + .seconds(20)) }
        try await slot.control.call("containerManager.StartRoot", "\"\(slot.id)\"", until: .now + .seconds(20))
    }

    /// Lets the slot go on where an image was taken.
    func load(
        _ directory: String, _ files: [FileDescriptor], into slot: GVisorSlot, _ usesSocket: Bool, _ duration: Duration
    ) async throws {
        guard usesSocket else {
            return try await slot.runsc.run(
                ["restore", "--detach", "--image-path=\(directory)"], until: .now + duration)
        }
        try await slot.control.call(
            "containerManager.Restore", #"{"HavePagesFile":true,"HaveDeviceFile":false}"#,
            descriptors: files, until: .now + duration)
    }

    /// Takes a slot, puts the root on it, and lets `begin` start the guest in it.
    private func execute(
        _ request: StartRequest, restored: Bool, _ begin: (GVisorSlot, Bool) async throws -> Void
    ) async throws -> any Execution {
        let usesSocket = try await usesSocket()
        try executions.reserve(request.execution)
        defer { pool.finished() }
        pool.began()
        var taken: GVisorSlot?
        do {
            let slot = try await takeSlot(isAhead: request.isAhead)
            taken = slot
            try Step.slotTaken.reached()
            try executions.bind(request.execution, to: slot)
            let guest = try await boot(request, in: slot, restored: restored) { try await begin(slot, usesSocket) }
            let execution = GVisorExecution(
                id: request.execution, guest: guest, slot: slot, usesSocket: usesSocket, isNew: true,
                logger: configuration.logger)
            try executions.confirm(request.execution)
            return execution
        } catch {
            if let taken { await discard(taken) }
            executions.remove(request.execution)
            throw driverError(error, "The sandbox could not be started.")
        }
    }

    private func takeSlot(isAhead: Bool) async throws -> GVisorSlot {
        while let slot = pool.take() {
            if await slot.place.isUnused(), (try? slot.thaw()) != nil { return slot }
            configuration.logger.warning("a prepared sandbox slot died", metadata: ["slot": "\(slot.id)"])
            await discard(slot)
        }
        return try await createSlot(isAhead: isAhead)
    }

    /// - Parameter isAhead: Whether nobody waits for it.
    func createSlot(isAhead: Bool = false) async throws -> GVisorSlot {
        let usesSocket = try await usesSocket()
        return try await GVisorSlot.create(
            owner: owner, configuration: configuration, layout: layout, usesSocket: usesSocket, isAhead: isAhead
        ) { await self.discard($0) }
    }

    private func boot(
        _ request: StartRequest, in slot: GVisorSlot, restored: Bool, _ begin: () async throws -> Void
    ) async throws -> GuestSession {
        let (overhead, margins) = (configuration.memoryOverhead, configuration.memoryMargins)
        try await BlockingPool.shared.run {
            try slot.place.assign(execution: request.execution, sandbox: request.sandbox)
            // gVisor runs each guest thread on a host thread, keeps some of those that ended, and has its own besides. It
            // does not survive that the host refuses it one.
            try slot.cgroup?.apply(
                request.limits, memoryOverhead: overhead, processOverhead: request.limits.pids * 7 + 2048,
                guarded: margins)
            if request.isAhead { try slot.cgroup?.setWeight(GVisorSlot.weightAhead) }
        }
        let root = ShimRoot(request.root)
        // Before the root: from then on the shim takes it for somebody's.
        if request.isAhead { try await slot.shim.setProvisional(true, until: .now + .seconds(5)) }
        try Step.slotAssigned.reached()
        try await slot.shim.attachRoot(root, until: .now + .seconds(10))
        slot.place.dropLease()
        try Step.slotRootAttached.reached()
        let channel = try await slot.shim.channel(until: .now + .seconds(5))
        // Kernels with cgroups of version 1 take 10 ms to tell the guard of its marks; the wall stands already.
        async let guarded: Void = guardMemory(of: slot, request.limits)
        // The session's first bytes wait in the socket for the guest, which is about to start.
        async let opening = GuestSession.open(
            descriptor: channel.take(), deadline: .seconds(20), logger: configuration.logger)
        try await begin()
        try Step.slotGuestStarted.reached()
        let guest = try await opening
        try await guarded
        try Step.slotSessionOpened.reached()
        async let greeting: Void = greet(guest, request)
        if !restored { try await guest.setLimits(request.limits) }
        await greeting
        if request.isAhead {
            try await BlockingPool.shared.run { try slot.cgroup?.setWeight(request.limits.cpuWeight) }
        }
        return guest
    }

    /// Without a guard, and only then, the kernel ends the whole sandbox at its limit.
    private func guardMemory(of slot: GVisorSlot, _ limits: ResourceLimits) async throws {
        guard slot.cgroup != nil else { return }
        let soft = UInt64(limits.memoryMiB << 20 + configuration.memoryOverhead)
        let marks = ShimMarks(
            soft: soft, wall: soft + UInt64(configuration.memoryMargins.margin),
            reserve: UInt64(configuration.memoryMargins.reserve))
        try await slot.shim.guardMemory(marks, until: .now + .seconds(5))
    }

    /// Tells the guest what it cannot know. A guest that refuses is still of use.
    private func greet(_ guest: GuestSession, _ request: StartRequest) async {
        var generator = SystemRandomNumberGenerator()
        let entropy = (0..<64).map { _ in UInt8.random(in: 0...UInt8.max, using: &generator) }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let clock = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        let settings: [@Sendable () async throws -> Void] = [
            { try await guest.setHostname(request.hostname) },
            { try await guest.addEntropy(entropy) },
            { try await guest.setClock(unixNanoseconds: clock) },
        ]
        await withTaskGroup(of: Void.self) { [logger = configuration.logger] group in
            for setting in settings {
                group.addTask {
                    do {
                        try await setting()
                    } catch {
                        logger.debug("the guest refused a setting", metadata: ["error": "\(error)"])
                    }
                }
            }
        }
    }

    // MARK: Ending

    public func destroy(_ id: ExecutionID) async throws {
        do {
            try await executions.destroy(id) {
                try await $0.remove()
            } recorded: {
                try await recordedSlots(of: id)
            }
        } catch {
            throw driverError(error, "The sandbox was not removed completely.")
        }
    }

    /// How this server talks to runsc; found out once.
    func usesSocket() async throws -> Bool {
        if let known = setting.withLock({ $0.usesSocket }) { return known }
        let version = try await Runsc.version(configuration.runscPath)
        let isKnown = Runsc.isKnown(version: version)
        setting.withLock { $0.usesSocket = isKnown }
        return isKnown
    }
}

extension ShimRoot {
    init(_ root: SandboxRoot) {
        let layer: Layer =
            switch root.layer {
            case .directories(let upper, let work): .directories(upper: upper, work: work)
            case .image(let path, let place): .image(path: path, place: place)
            }
        self.init(lower: root.lower, layer: layer, volatile: root.volatile, fresh: root.fresh)
    }
}

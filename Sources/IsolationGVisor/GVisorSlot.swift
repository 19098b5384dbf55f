internal import Faults
internal import Glibc
internal import IsolationShim
internal import LinuxSystem
internal import Logging
internal import SandboxModel

/// One created sandbox with its shim, before and while it is an execution.
final class GVisorSlot: Sendable {
    let place: ShimSlot
    let runsc: Runsc
    let control: RunscControl

    var id: String { place.id }
    var directory: String { place.directory }
    var cgroup: Cgroup? { place.cgroup }
    var shim: ShimClient { place.shim }

    /// One that is about to be made, or of a former server, found on disk.
    init(_ id: String, configuration: GVisorConfiguration, layout: CgroupLayout?) {
        let cgroup = layout.map { Cgroup("\(configuration.cgroupParent)/\(id)", layout: $0) }
        place = ShimSlot(id, in: configuration.slotsDirectory, cgroup: cgroup)
        runsc = Runsc(configuration: configuration, id: id, slot: place.directory)
        control = RunscControl(path: "\(place.directory)/r/runsc-\(id).sock")
    }

    /// Of what is prepared while nobody waits for it; a sandbox has 100 by default.
    static let weightAhead = 10

    // MARK: Creation

    /// Makes a slot: a sandbox process and a gofer on an empty root, with their shim. It takes about 100 ms.
    ///
    /// - Parameters:
    ///   - owner: What the slot's identifier begins with: it tells this server's slots from a former one's.
    ///   - isAhead: Whether nobody waits for it: then it has little weight until it gets its limits.
    ///   - discard: Removes one that came to nothing.
    /// - Throws: ``SandboxError``; nothing is left then, as far as `discard` can see to it.
    static func create(
        owner: String, configuration: GVisorConfiguration, layout: CgroupLayout?, usesSocket: Bool,
        isAhead: Bool, discard: (GVisorSlot) async -> Void
    ) async throws -> GVisorSlot {
        let slot = GVisorSlot(owner + randomToken(8), configuration: configuration, layout: layout)
        do {
            try await BlockingPool.shared.run { try slot.spawn(configuration, isAhead) }
            try await slot.finishCreation(usesSocket: usesSocket)
            return slot
        } catch {
            await discard(slot)
            throw (error as? SystemError)?.sandboxError(.driverFailed, "A sandbox process cannot be prepared.") ?? error
        }
    }

    /// Blocks: makes files and groups and starts the shim.
    private func spawn(_ configuration: GVisorConfiguration, _ isAhead: Bool) throws {
        let slots = configuration.slotsDirectory
        guard mkdir(slots, 0o700) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", slots) }
        try place.makeDirectory()
        for path in [directory + "/bundle", directory + "/r"] {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", path) }
        }
        for path in [configuration.genericRoot, configuration.genericRoot + GVisorConfiguration.mountPoint] {
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", path) }
        }
        let spec = try OCISpec(root: configuration.genericRoot).encoded()
        try DurableFile.replace(directory + "/bundle/config.json", with: spec, durable: false)
        try cgroup?.create()
        if isAhead { try? cgroup?.setWeight(Self.weightAhead) }
        try Step.slotFoldersMade.reached()
        let command = ShimCommand(
            .gVisor(mountPoint: GVisorConfiguration.mountPoint), program: runsc.create,
            patience: configuration.slotPatience)
        try place.start(command, shim: configuration.shimPath)
    }

    private func finishCreation(usesSocket: Bool) async throws {
        try Step.slotShimStarted.reached()
        let deadline = ContinuousClock.now + .seconds(25)
        try await place.awaitReady(until: deadline)
        if usesSocket {
            try await control.call("Network.CreateLinksAndRoutes", RunscControl.loopback, until: deadline)
        }
        try Step.slotReady.reached()
    }

    /// Ends every process of the slot and removes all of it; see ``ShimSlot/remove()``.
    func remove() async throws { try await place.remove() }
}

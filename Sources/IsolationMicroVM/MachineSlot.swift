internal import Glibc
internal import IsolationShim
internal import LinuxSystem
internal import QMP
internal import SandboxModel
internal import Shim
internal import Synchronization

/// The place of one machine: its folder, its shim, its control group, and a connection to its monitor.
final class MachineSlot: Sendable {
    let place: ShimSlot
    private let connection = Mutex<QMPClient?>(nil)
    private let connecting = SingleFlight()

    /// One that is about to be made, or of a former server, found on disk.
    init(_ id: String, configuration: MicroVMConfiguration, layout: CgroupLayout?) {
        let cgroup = layout.map { Cgroup("\(configuration.cgroupParent)/\(id)", layout: $0) }
        place = ShimSlot(id, in: configuration.slotsDirectory, cgroup: cgroup)
    }

    /// Starts QEMU in its jail, with nothing of a sandbox in it.
    ///
    /// - Parameter user: That nobody else runs as.
    func start(_ command: MachineCommand, user: UInt32, _ configuration: MicroVMConfiguration) async throws {
        try await BlockingPool.shared.run { [place] in
            let slots = configuration.slotsDirectory
            guard mkdir(slots, 0o700) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", slots) }
            try place.makeDirectory()
            try place.cgroup?.create()
            let jail = ShimCommand.Jail(user: user, devices: command.accelerator.devices)
            try place.start(ShimCommand(.jail(jail), program: command.program), shim: configuration.shimPath)
        }
        try await place.awaitReady(until: .now + .seconds(25))
        _ = try await monitor(until: .now + .seconds(20))
    }

    /// Gives the machine its files and lets it boot.
    func boot(_ files: [ShimFile], until deadline: ContinuousClock.Instant) async throws {
        try await place.shim.attachFiles(files, until: deadline)
        let monitor = try await monitor(until: deadline)
        try await monitor.run(
            .addRawImage(
                MachineCommand.File.template, path: "/" + MachineCommand.File.template, isReadOnly: true),
            until: deadline)
        try await monitor.run(
            .addRawImage(MachineCommand.File.layer, path: "/" + MachineCommand.File.layer, isReadOnly: false),
            until: deadline)
        try await monitor.run(.exitPreconfig, until: deadline)
        // Whatever the guest does to its monitor from here on, it finds a place with its own files alone.
        try await place.shim.seal(until: deadline)
        try await monitor.run(.cont, until: deadline)
    }

    /// The connection to the monitor, made when it is first needed.
    func monitor(until deadline: ContinuousClock.Instant) async throws -> QMPClient {
        if let known = connection.withLock({ $0 }) { return known }
        let path = place.directory + "/qmp.sock"
        try await connecting.run { [self] in
            guard connection.withLock({ $0 }) == nil else { return }
            let opened = try await QMPClient.connect(path, until: deadline)
            connection.withLock { $0 = opened }
        }
        guard let opened = connection.withLock({ $0 }) else {
            throw SandboxError(.driverFailed, "The machine's monitor does not answer.")
        }
        return opened
    }

    /// Ends everything of the slot and removes all of it.
    func remove() async throws {
        disconnect()
        try await place.remove()
    }

    /// Gives the monitor free for somebody else: it serves one at a time.
    func disconnect() {
        connection.withLock { connection in
            connection?.close()
            connection = nil
        }
    }
}

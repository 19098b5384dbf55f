internal import Faults
internal import Glibc
internal import LinuxSystem
internal import Logging
internal import SandboxModel
internal import Shim
internal import Synchronization

/// One created sandbox with its shim, before and while it is an execution.
final class GVisorSlot: Sendable {
    let id: String
    let directory: String
    let cgroup: Cgroup?
    let shim: ShimClient
    let runsc: Runsc
    let control: RunscControl
    /// The shim's process, if this server started it.
    let process: ChildProcess?
    private let removal = SingleFlight()
    /// Held while the slot waits in the pool: it tells the shim that this server lives.
    private let lease = Mutex<UnixSocket?>(nil)

    private init(id: String, configuration: GVisorConfiguration, layout: CgroupLayout?, process: ChildProcess?) {
        self.id = id
        directory = Self.directory(id, configuration)
        cgroup = layout.map { Cgroup("\(configuration.cgroupParent)/\(id)", layout: $0) }
        shim = ShimClient(path: directory + "/shim.sock")
        runsc = Runsc(configuration: configuration, id: id, slot: directory)
        control = RunscControl(path: "\(directory)/r/runsc-\(id).sock")
        self.process = process
    }

    /// Of what is prepared while nobody waits for it; a sandbox has 100 by default.
    static let weightAhead = 10

    static func directory(_ id: String, _ configuration: GVisorConfiguration) -> String {
        configuration.slotsDirectory + "/" + id
    }

    /// A slot of a former server, found on disk.
    static func recovered(_ id: String, configuration: GVisorConfiguration, layout: CgroupLayout?) -> GVisorSlot {
        GVisorSlot(id: id, configuration: configuration, layout: layout, process: nil)
    }

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
        let draft = GVisorSlot(id: owner + randomToken(8), configuration: configuration, layout: layout, process: nil)
        do {
            let (process, ready) = try await BlockingPool.shared.run { try draft.spawn(configuration, isAhead) }
            let slot = GVisorSlot(id: draft.id, configuration: configuration, layout: layout, process: process)
            do {
                try await slot.finishCreation(ready, usesSocket: usesSocket)
                return slot
            } catch {
                await discard(slot)
                throw error
            }
        } catch {
            await discard(draft)
            throw (error as? SystemError)?.sandboxError(.driverFailed, "A sandbox process cannot be prepared.") ?? error
        }
    }

    /// Blocks: makes files and groups and starts the shim.
    private func spawn(
        _ configuration: GVisorConfiguration, _ isAhead: Bool
    ) throws -> (ChildProcess, FileDescriptor) {
        for path in [configuration.slotsDirectory, directory, directory + "/bundle", directory + "/r"] {
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
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        let log = try FileDescriptor.open(directory + "/shim.log", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let ready = try FileDescriptor.pipe()
        var arguments = ["--slot", directory, "--mount-point", GVisorConfiguration.mountPoint]
        arguments += ["--patience", "\(max(1, min(3600, configuration.slotPatience.components.seconds)))"]
        for group in cgroup?.directories ?? [] { arguments += ["--cgroup", group] }
        let command = ChildCommand(configuration.shimPath, arguments + ["--"] + runsc.create, directory: "/")
        let process = try ChildProcess.spawn(command, descriptors: [null.raw, ready.writing.raw, log.raw])
        return (process, ready.reading)
    }

    private func finishCreation(_ ready: FileDescriptor, usesSocket: Bool) async throws {
        try Step.slotShimStarted.reached()
        let deadline = ContinuousClock.now + .seconds(25)
        var line: [UInt8] = []
        while line.last != 0x0A {
            let part = try await ready.read(until: deadline)
            guard !part.isEmpty else { break }
            line += part
        }
        let text = String(decoding: line, as: UTF8.self)
        guard text.hasPrefix("ready ") else {
            throw SandboxError(.driverFailed, "A sandbox process cannot be prepared.", cause: Complaint(text))
        }
        let lease = try shim.connect()
        self.lease.withLock { $0 = lease }
        if usesSocket {
            try await control.call("Network.CreateLinksAndRoutes", RunscControl.loopback, until: deadline)
        }
        try Step.slotReady.reached()
    }

    // MARK: Use

    /// Records durably (until a reboot) whose slot this is, before anything starts in it.
    func assign(execution: ExecutionID, sandbox: SandboxID) throws(SystemError) {
        let text = "execution \(execution)\nsandbox \(sandbox)\n"
        try DurableFile.replace(directory + "/assigned", with: Array(text.utf8), durable: false)
    }

    /// Whose slot one is on disk; `nil` if nobody's.
    static func assignment(_ directory: String) -> ExecutionID? {
        guard let text = try? TextFile.read(directory + "/assigned"), let line = text.split(separator: "\n").first,
            line.hasPrefix("execution ")
        else { return nil }
        return ExecutionID(String(line.dropFirst(10)))
    }

    /// Whether the slot is still good: its shim answers.
    func isAlive() async -> Bool {
        guard let information = try? await shim.information(until: .now + .seconds(1)) else { return false }
        return information.state == "created"
    }

    /// Whether what runs in it ends when there is no server.
    func setProvisional(_ provisional: Bool, until deadline: ContinuousClock.Instant) async throws {
        _ = try await shim.request(.provisional, [provisional ? 1 : 0], until: deadline)
    }

    /// No longer tells the shim that a server lives.
    func dropLease() { lease.withLock { $0 = nil } }

    // MARK: The end

    /// Ends every process of the slot and removes all of it. Concurrent calls share one removal; once it succeeded,
    /// further calls return at once. Goes on even when the task is cancelled.
    func remove() async throws {
        try await removal.run {
            Step.destroyBegun.passed()
            try await self.dismantle()
            Step.destroyDone.passed()
            self.cgroup?.removeEmptyParents()
        }
    }

    private func dismantle() async throws {
        dropLease()
        let deadline = ContinuousClock.now + .seconds(6)
        let recorded = recordedProcesses()
        _ = try? await shim.request(.kill, until: deadline, shielded: true)
        if let process, (try? await process.wait(until: .now + .seconds(1), shielded: true)) == nil {
            process.signal(SIGKILL)
            _ = try? await process.wait(until: deadline, shielded: true)
        }
        // The shim's answer is the last that it does before it exits.
        while process == nil, recorded.contains(where: \.isAlive), access(directory, F_OK) != 0, .now < deadline {
            await Reactor.shared.shieldedSleep(.milliseconds(1))
        }
        if access(directory, F_OK) != 0, cgroup?.directories.allSatisfy({ access($0, F_OK) != 0 }) ?? true { return }
        try await dismantleWithoutShim()
    }

    /// For a slot whose shim is gone or deaf: kills by the recorded pids and by the control group.
    private func dismantleWithoutShim() async throws {
        let deadline = ContinuousClock.now + .seconds(5)
        let recorded = recordedProcesses()
        for process in recorded where process.isAlive { kill(process.pid, SIGKILL) }
        try await cgroup?.killAll(until: deadline)
        while recorded.contains(where: \.isAlive) {
            await Reactor.shared.shieldedSleep(.milliseconds(2))
            if ContinuousClock.now > deadline {
                throw SandboxError(.driverFailed, "Processes of the sandbox did not end.")
            }
        }
        try await cgroup?.remove(until: deadline)
        let directory = directory
        try await BlockingPool.shared.run { try TreeRemoval.remove(directory) }
    }

    /// A pid that is reused by another process does not count as the process that was recorded.
    private struct RecordedProcess {
        var pid: Int32
        var startTime: UInt64

        /// Whether it still runs; a zombie does not.
        var isAlive: Bool {
            guard let facts = ProcessFacts(pid: pid) else { return false }
            return facts.startTime == startTime && facts.state != "Z"
        }
    }

    private func recordedProcesses() -> [RecordedProcess] {
        ((try? TextFile.read(directory + "/pids")) ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 2, let pid = Int32(words[0]), let startTime = UInt64(words[1]) else { return nil }
            return RecordedProcess(pid: pid, startTime: startTime)
        }
    }
}

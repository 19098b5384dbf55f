internal import Faults
internal import Glibc
public import LinuxSystem
public import SandboxModel
internal import Synchronization

/// A sandbox's place on the host: a folder with a shim, and a control group.
///
/// The driver that owns it makes it in this order: ``makeDirectory()``, its own files, ``start(_:shim:)``,
/// ``awaitReady(until:)``. Whatever fails, ``remove()`` leaves nothing. A slot of a former server is made of its
/// identifier alone.
public final class ShimSlot: Sendable {
    public let id: String
    /// The folder, absolute.
    public let directory: String
    public let cgroup: Cgroup?
    public let shim: ShimClient

    private struct Start {
        var process: ChildProcess?
        /// Where the shim says that it is ready, or why not.
        var ready: FileDescriptor?
        /// Tells the shim that this server lives.
        var lease: UnixSocket?
    }

    private let state = Mutex(Start())
    private let removal = SingleFlight()

    /// - Parameters:
    ///   - parent: The folder of all slots of a driver; on a file system that is empty after a reboot.
    ///   - cgroup: The slot's own group.
    public init(_ id: String, in parent: String, cgroup: Cgroup?) {
        self.id = id
        directory = parent + "/" + id
        self.cgroup = cgroup
        shim = ShimClient(path: directory + "/shim.sock")
    }

    /// The shim's pid, if this server started it.
    public var process: Int32? { state.withLock { $0.process?.pid } }

    // MARK: Creation

    /// Makes the folder. Blocks.
    public func makeDirectory() throws(SystemError) {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", directory) }
    }

    /// Starts the shim, in whose group everything of the sandbox will be. Blocks.
    public func start(_ command: ShimCommand, shim path: String) throws {
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        let log = try FileDescriptor.open(directory + "/shim.log", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let ready = try FileDescriptor.pipe()
        let arguments = command.arguments(slot: directory, cgroups: cgroup?.directories ?? [])
        let process = try ChildProcess.spawn(
            ChildCommand(path, arguments, directory: "/"), descriptors: [null.raw, ready.writing.raw, log.raw])
        state.withLock { $0 = Start(process: process, ready: ready.reading) }
    }

    /// Returns when the sandbox's processes are there. From then on the shim knows that this server lives.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` and the shim's words, `deadline_exceeded` or `cancelled`;
    ///   ``SystemError``.
    public func awaitReady(until deadline: ContinuousClock.Instant) async throws {
        guard let ready = state.withLock({ $0.ready.take() }) else { return }
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
        state.withLock { $0.lease = lease }
    }

    // MARK: Use

    /// No longer tells the shim that a server lives.
    public func dropLease() { state.withLock { $0.lease = nil } }

    /// Whether nothing was put into it and its shim answers.
    public func isUnused() async -> Bool {
        guard let information = try? await shim.information(until: .now + .seconds(1)) else { return false }
        return information.state == "created"
    }

    /// Records durably (until a reboot) whose slot this is, before anything starts in it. Blocks.
    public func assign(execution: ExecutionID, sandbox: SandboxID) throws(SystemError) {
        let text = "execution \(execution)\nsandbox \(sandbox)\n"
        try DurableFile.replace(directory + "/assigned", with: Array(text.utf8), durable: false)
    }

    /// Whose slot this is on disk; `nil` if nobody's. Blocks.
    public var assignment: ExecutionID? {
        guard let text = try? TextFile.read(directory + "/assigned"), let line = text.split(separator: "\n").first,
            line.hasPrefix("execution ")
        else { return nil }
        return ExecutionID(String(line.dropFirst(10)))
    }

    /// Identifiers of the slots on disk, whosever they are. Blocks.
    ///
    /// - Parameter others: Names in the folder that are no slots.
    public static func recorded(in parent: String, except others: Set<String> = []) throws(SystemError) -> [String] {
        do throws(SystemError) {
            return try DirectoryListing.names(parent).filter { !others.contains($0) }
        } catch {
            if error.isNotFound { return [] }
            throw error
        }
    }

    /// The last lines of files in the folder, for messages: at most 3 lines and 500 characters. Blocks.
    public func lastWords(_ files: [String]) -> String {
        files.compactMap { try? TextFile.read("\(directory)/\($0)", limit: 1 << 20) }
            .joined(separator: "\n").split(whereSeparator: \.isNewline).suffix(3).joined(separator: " | ")
            .prefix(500).description
    }

    // MARK: The end

    /// Ends every process of the slot and removes all of it. Concurrent calls share one removal; once it succeeded,
    /// further calls return at once. Goes on even when the task is cancelled.
    public func remove() async throws {
        try await removal.run {
            Step.destroyBegun.passed()
            try await self.dismantle()
            Step.destroyDone.passed()
            self.cgroup?.removeEmptyParents()
        }
    }

    private func dismantle() async throws {
        let process = state.withLock { state in
            state.lease = nil
            state.ready = nil
            return state.process
        }
        let deadline = ContinuousClock.now + .seconds(6)
        let recorded = recordedProcesses()
        try? await shim.kill(until: deadline)
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

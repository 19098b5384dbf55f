public import GuestClient
public import SandboxModel

/// One way of running a sandbox apart from the host: gVisor, later microVMs.
///
/// A driver knows nothing of names, policies or the store. It is told what to do with one ``ExecutionID`` at a time and
/// keeps no state that it could not find again after a restart of the server (``survivors()``).
///
/// ### Concurrent calls
/// Calls for different executions are independent. For one execution the runtime makes one call at a time, except
/// ``destroy(_:)``, which overtakes all others: they then fail with `cancelled` or `driver_failed`.
///
/// ### Errors
/// Every function throws ``SandboxError``: `unsupported` for what the capabilities exclude, `no_space`, `deadline_exceeded`,
/// `driver_failed` otherwise. After a failed ``start(_:)`` or ``restore(_:)`` nothing of the execution is left.
public protocol IsolationDriver: Sendable {
    /// What this driver can do on this machine, found out by trying, not by assuming.
    func capabilities() async -> DriverCapabilities

    /// Starts a sandbox afresh on its root: the init runs and its session is open when this returns.
    func start(_ request: StartRequest) async throws -> any Execution

    /// Starts a sandbox from a checkpoint: memory as it was then; its session is open when this returns.
    func restore(_ request: RestoreRequest) async throws -> any Execution

    /// Executions that outlived a former server, found in the run directory; each can be reattached or destroyed.
    func survivors() async throws -> [ExecutionID]

    /// Opens the session of a survivor again. From then on it is kept (``Execution/keep()``).
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` if its processes are gone.
    func reattach(_ id: ExecutionID) async throws -> any Execution

    /// Ends all processes of an execution at once and removes everything of it but its root and checkpoints. Safe to
    /// repeat, and for an execution that is not there.
    func destroy(_ id: ExecutionID) async throws

    /// Keeps `count` host-side slots prepared, so that a start or restore need not wait for them. 0 drops them.
    func prewarm(_ count: Int) async
}

/// The processes of one incarnation of a sandbox.
public protocol Execution: Sendable {
    var id: ExecutionID { get }
    /// The session with the init inside.
    var guest: GuestSession { get }
    /// Makes a ``StartRequest/provisional`` execution one that outlives the server. On any other it does nothing.
    func keep() async throws
    /// Freezes all processes in RAM.
    func pause() async throws
    /// Takes the CPU from all processes without a word to the guest, which finds that time has passed when it goes on. For
    /// a sandbox that nobody uses yet: ``resume()`` is faster then. Does nothing where the host cannot do it.
    func hold() async throws
    /// Lets all timers inside expire up to 50 ms late, for a guest in which nothing goes on: it then costs next to no CPU,
    /// and everything in it works. Does nothing where the host cannot do it, and on a guest that is paused.
    func doze() async
    /// Undoes ``doze()``. Cheap if there is nothing to undo. ``pause()`` and ``checkpoint(to:)`` do it themselves.
    func rouse() async
    /// Lets all that belongs to the sandbox run on one core only; `nil`: on all of the machine's. Takes some 0.2 ms. Does
    /// nothing where the host cannot do it.
    func confine(to core: Int?) async
    /// Undoes ``pause()`` and ``hold()``.
    func resume() async throws
    /// Writes memory and device state into the empty directory `directory` while the sandbox is paused (it is paused if
    /// it was not), and leaves it **paused and alive**: the caller decides between ``resume()`` and
    /// ``IsolationDriver/destroy(_:)``. What is in the directory is not yet synced to the device.
    ///
    /// - Returns: Checksums by file name (`Checksum.ofFile`), as far as they were found out while the files were written.
    /// - Throws: ``SandboxError`` with `driver_failed` if it failed; the execution may be dead then (see ``ended``).
    @discardableResult
    func checkpoint(to directory: String) async throws -> [String: UInt64]
    /// Makes all files of a writable layer that is an image durable.
    ///
    /// - Throws: ``SandboxError`` with `unsupported` if the layer is a directory, `no_space` or `driver_failed` if the
    ///   files are not all on the device.
    func syncFiles() async throws
    /// Host-side usage, cheap enough to be asked every second; never talks to the guest.
    func stats() async throws -> ExecutionStats
    /// Returns when the sandbox's processes have ended, however; at once if they have.
    func ended() async -> ExecutionEnd
}

/// Where a sandbox's root comes from. The driver mounts it; nobody else does.
public struct SandboxRoot: Sendable, Hashable {
    /// Read-only layers, topmost first, each an absolute path of a directory. Shared by many sandboxes.
    public var lower: [String]
    /// The sandbox's own.
    public var layer: WritableLayer
    /// Whether the writable layer may be lost when the host crashes (faster: overlayfs `volatile`).
    public var volatile: Bool
    /// Whether the processes start afresh: then what the guest has put over the init in an image is set aside.
    public var fresh: Bool
    public init(lower: [String], layer: WritableLayer, volatile: Bool, fresh: Bool = false) {
        self.lower = lower
        self.layer = layer
        self.volatile = volatile
        self.fresh = fresh
    }
}

/// Where the files are that a sandbox writes.
public enum WritableLayer: Sendable, Hashable {
    /// overlayfs's two directories, on one file system of the host, which bounds what is written.
    case directories(upper: String, work: String)
    /// An ext4 image whose size is the bound. Only the sandbox's own processes ever see it mounted; `place` is a
    /// directory that the driver may mount it on where nobody else sees it.
    case image(path: String, place: String)
}

public struct StartRequest: Sendable {
    public var sandbox: SandboxID
    public var execution: ExecutionID
    public var root: SandboxRoot
    public var hostname: String
    public var limits: ResourceLimits
    /// Whether nobody waits for it, and nobody was promised it yet: it starts with the CPU that others leave, and ends by
    /// itself when no server has been there for about a minute, until ``Execution/keep()``.
    public var isAhead: Bool
    public init(
        sandbox: SandboxID, execution: ExecutionID, root: SandboxRoot, hostname: String, limits: ResourceLimits,
        isAhead: Bool = false
    ) {
        self.sandbox = sandbox
        self.execution = execution
        self.root = root
        self.hostname = hostname
        self.limits = limits
        self.isAhead = isAhead
    }
}

public struct RestoreRequest: Sendable {
    public var start: StartRequest
    /// A directory that ``Execution/checkpoint(to:)`` filled.
    public var checkpoint: String
    /// Throws if the checkpoint is not what it was. A driver calls it, maybe more than once, and lets the guest go on only
    /// after it has returned; what does not depend on it may be done meanwhile.
    public var verify: @Sendable () async throws -> Void
    public init(
        start: StartRequest, checkpoint: String, verify: @escaping @Sendable () async throws -> Void = {}
    ) {
        self.start = start
        self.checkpoint = checkpoint
        self.verify = verify
    }
}

public struct ExecutionStats: Sendable, Hashable {
    /// CPU time of the whole sandbox (guest, sentry, gofer) since the execution began.
    public var cpuNanoseconds: UInt64
    /// RAM that the sandbox occupies on the host now.
    public var memoryBytes: UInt64
    /// Host processes.
    public var processes: Int
    public init(cpuNanoseconds: UInt64, memoryBytes: UInt64, processes: Int) {
        self.cpuNanoseconds = cpuNanoseconds
        self.memoryBytes = memoryBytes
        self.processes = processes
    }
}

/// How an execution ended.
public struct ExecutionEnd: Sendable, Hashable {
    /// The init's exit code, or 128 + signal; `nil` if nobody could tell.
    public var code: Int32?
    /// Whether the host's kernel killed it for memory.
    public var outOfMemory: Bool
    public var detail: String
    public init(code: Int32?, outOfMemory: Bool = false, detail: String = "") {
        self.code = code
        self.outOfMemory = outOfMemory
        self.detail = detail
    }
}

/// What a driver can do here, and why not where it cannot.
public struct DriverCapabilities: Sendable, Hashable, Codable {
    /// One ability, with the reason if it is absent.
    public struct Ability: Sendable, Hashable, Codable {
        public var available: Bool
        public var reason: String?
        public init(available: Bool, reason: String? = nil) {
            self.available = available
            self.reason = reason
        }
    }
    /// `gvisor` or `microvm`.
    public var tier: String
    /// Version of the isolation software; empty if it is absent.
    public var version: String
    public var run: Ability
    public var pause: Ability
    public var checkpoint: Ability
    /// Limits of memory, CPU and processes enforced by cgroups.
    public var limits: Ability
    /// Whether the processor runs a machine, not an emulator; `nil`: the tier needs no such thing.
    public var acceleration: Ability?
    public init(
        tier: String, version: String, run: Ability, pause: Ability, checkpoint: Ability, limits: Ability,
        acceleration: Ability? = nil
    ) {
        self.acceleration = acceleration
        self.tier = tier
        self.version = version
        self.run = run
        self.pause = pause
        self.checkpoint = checkpoint
        self.limits = limits
    }
}

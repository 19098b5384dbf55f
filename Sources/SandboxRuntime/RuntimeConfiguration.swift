internal import Glibc
public import SandboxModel

/// Settings of ``SandboxRuntime``; the defaults are meant for production.
public struct RuntimeConfiguration: Sendable {
    /// Path of the static binary `nightjar-init`, which is installed for sandboxes that start from now on.
    public var initBinary: String
    /// What a new sandbox gets for which neither its specification nor its template says anything.
    public var isolation = IsolationChoice.auto
    /// Identifies this boot of the host: what ran in another one is gone.
    public var bootID = RuntimeConfiguration.currentBootID()
    /// Share of one core, averaged over ``sampleInterval``, from which a sandbox counts as busy. An idle gVisor sandbox
    /// takes 3 to 7 % of a core for itself until it dozes (its platform looks for work every 0.4 ms).
    public var busyShare = 0.08
    /// How often the supervisor looks at the sandboxes.
    public var tick = Duration.milliseconds(500)
    /// The machine's cores, by the kernel's numbers: what sandboxes are placed on when there are too few of them. With
    /// less than two the kernel's scheduler alone places them.
    public var cores: [Int] = []
    /// How long nobody must have used a sandbox before its timers may be late (``Execution/doze()``).
    public var dozeAfter = Duration.milliseconds(500)
    /// When to look again whether it may doze, if a process ran in it.
    public var dozeRecheck = Duration.seconds(30)
    /// How often the CPU time of a sandbox that nobody uses is read; a third of its idle timeout if that is shorter.
    public var sampleInterval = Duration.seconds(3)
    /// How soon a sandbox is looked at again that was kept awake by a foreground process or a checkpoint blocker.
    public var recheckInterval = Duration.seconds(3)
    /// How soon an idle action that failed is tried again; doubled at each failure, up to 32 times this.
    public var retryInterval = Duration.seconds(10)
    /// An ephemeral sandbox that has slept, been stopped or failed for so long is deleted.
    public var ephemeralRetention = Duration.seconds(3600)
    /// What a stop gives the processes between SIGTERM and SIGKILL.
    public var stopGrace = Duration.seconds(5)
    /// The longest wait for an answer of the guest's init in a transition.
    public var guestDeadline = Duration.seconds(10)
    /// How often a server tries to open the session of a sandbox whose processes run, before it gives them up.
    public var reattachAttempts = 3
    /// How long a graceful end of the server waits for transitions under way.
    public var drainDeadline = Duration.seconds(20)
    /// How many sandboxes are taken over at once when the server starts.
    public var parallelism = 16
    /// Offers `GET http://127.0.0.1:7576/v1/metadata` inside every sandbox; `nil`: not.
    public var metadataPort: UInt16? = 7576
    /// How often the use of sandboxes that have processes is read and stored. What is used after the last reading of an
    /// execution whose end nobody saw is lost, never more.
    public var usageInterval = Duration.seconds(10)
    /// How long use is remembered.
    public var usageRetention = Duration.seconds(400 * 86_400)
    /// Who may begin to run, and how others wait.
    public var admission = AdmissionPolicy()
    /// Bytes of memory that a sandbox takes as soon as it runs, beside what it had in memory when it fell asleep.
    public var freshMemory: Int64 = 64 << 20
    /// Bytes that must be free on the device for a sandbox to start or wake.
    public var startSpace: Int64 = 64 << 20
    /// Bytes that a checkpoint leaves free on the device.
    public var reservedSpace: Int64 = 256 << 20
    /// MiB that a sandbox may write that asks for nothing else; 0: none is bounded, and none may ask for it.
    public var diskQuota = 0
    /// Sandboxes that are booted ahead, at most: 0 to 64.
    public var preboot = 0

    public init(initBinary: String) { self.initBinary = initBinary }

    /// The kernel's identifier of this boot; empty if it has none.
    public static func currentBootID() -> String {
        let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)).filter { $0 > 0x20 }, as: UTF8.self)
    }
}

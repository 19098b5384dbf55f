
/// Settings of ``SandboxRuntime``; the defaults are meant for production.
public struct RuntimeConfiguration: Sendable {
    /// Tier that a new sandbox gets.
    public var defaultTier = "gvisor"
    /// Share of one core, averaged over ``sampleInterval``, from which a sandbox counts as busy.
    public var busyShare = 0.02
    /// How often the supervisor looks at the sandboxes.
    public var tick = Duration.milliseconds(500)
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
    /// The longest wait for an answer of the guest's init.
    public var guestDeadline = Duration.seconds(10)
    /// How long a graceful end of the server waits for transitions under way.
    public var drainDeadline = Duration.seconds(20)
    /// How many sandboxes are reattached, sampled or decided upon at once.
    public var parallelism = 16
    /// Offers `GET http://127.0.0.1:7576/v1/metadata` inside every sandbox.
    public var metadataPort: UInt16? = 7576
    /// Free space that a checkpoint leaves on the device, in bytes.
    public var reservedSpace: Int64 = 256 << 20

    public init() {}
}

public import Logging

/// What the driver needs to know of this host.
public struct MicroVMConfiguration: Sendable {
    /// Where slots live, as `<runDirectory>/vm/<slot>`; absolute and at most 48 bytes, on a file system that is empty after
    /// a reboot.
    public var runDirectory: String
    /// Where kernels are, as `scripts/build-kernel` makes them: `<kernels>/current/{vmlinux,modules.cpio,kernel.json}`.
    public var kernelsDirectory: String
    /// The static `nightjar-shim`, absolute.
    public var shimPath: String
    /// The static `nightjar-init`, absolute.
    public var initPath: String
    /// `qemu-system-x86_64`, absolute.
    public var qemuPath: String
    /// The parent of all control groups, relative to each hierarchy's root.
    public var cgroupParent: String
    /// The first of the users that machines run as on the host; each gets one of ``userCount`` for itself.
    public var firstUser: UInt32
    public var userCount: UInt32 = 65_536
    /// Bytes of memory that a machine may use on the host on top of its guest's: QEMU itself and what it translates.
    public var memoryOverhead = 192 << 20
    /// How long a machine may take from its start to its init's first word. Emulated, on a busy host, it may be long.
    public var bootDeadline = Duration.seconds(90)
    public var logger: Logger

    public init(
        runDirectory: String, kernelsDirectory: String, shimPath: String, initPath: String, qemuPath: String,
        logger: Logger, cgroupParent: String = "nightjar-vm", firstUser: UInt32 = 1_879_048_192
    ) {
        self.runDirectory = runDirectory
        self.kernelsDirectory = kernelsDirectory
        self.shimPath = shimPath
        self.initPath = initPath
        self.qemuPath = qemuPath
        self.cgroupParent = cgroupParent
        self.firstUser = firstUser
        self.logger = logger
    }

    var slotsDirectory: String { runDirectory + "/vm" }
}

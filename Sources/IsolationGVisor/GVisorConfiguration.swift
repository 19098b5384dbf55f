public import LinuxSystem
public import Logging

/// What the driver needs to know of this host.
public struct GVisorConfiguration: Sendable {
    /// How a created sandbox is told to start, restore, pause, resume and checkpoint.
    public enum Control: Sendable, Hashable {
        /// ``socket`` where runsc's version is one that this source knows, ``commandLine`` otherwise.
        case automatic
        /// The sandbox's own control socket: 20 to 30 ms faster per call, and private to each version of runsc.
        case socket
        /// runsc's command line.
        case commandLine
    }

    /// Where slots live, as `<runDirectory>/gvisor/<slot>`; absolute and at most 48 bytes, on a file system that is
    /// empty after a reboot.
    public var runDirectory: String
    /// The static `nightjar-shim`, absolute.
    public var shimPath: String
    /// runsc, absolute.
    public var runscPath: String
    /// Slots to keep prepared from the start.
    public var prewarm: Int
    public var control: Control
    /// Whether the sandbox process opens files itself, on descriptors that the gofer gives it, instead of asking the
    /// gofer for each operation.
    public var directFileAccess: Bool
    /// The parent of all control groups, relative to each hierarchy's root.
    public var cgroupParent: String
    /// Bytes of memory that a sandbox may use on the host on top of its guest's limit: gVisor's own kernel and gofer.
    public var memoryOverhead: Int
    /// Room above that in which a process that needs too much is ended before the whole sandbox is.
    public var memoryMargins = MemoryMargins(margin: 64 << 20, reserve: 64 << 20)
    /// How long a prepared slot waits for a server to come back before it ends itself; 1 s to 1 h.
    public var slotPatience = Duration.seconds(60)
    public var logger: Logger

    public init(
        runDirectory: String, shimPath: String, runscPath: String, prewarm: Int, logger: Logger,
        control: Control = .automatic, directFileAccess: Bool = true, cgroupParent: String = "nightjar",
        memoryOverhead: Int = 64 * 1024 * 1024
    ) {
        self.runDirectory = runDirectory
        self.shimPath = shimPath
        self.runscPath = runscPath
        self.prewarm = prewarm
        self.control = control
        self.directFileAccess = directFileAccess
        self.cgroupParent = cgroupParent
        self.memoryOverhead = memoryOverhead
        self.logger = logger
    }

    var slotsDirectory: String { runDirectory + "/gvisor" }
    /// The empty root that sandboxes are created on.
    var genericRoot: String { slotsDirectory + "/root" }
    /// Where in ``genericRoot`` the real root is put before it takes its place.
    static let mountPoint = "/mnt"
    /// The init's path inside.
    static let initPath = "/.nightjar/init"
}

internal import Glibc
public import SandboxModel

/// How much runs on this node at once, and how those wait who find no room.
public struct AdmissionPolicy: Sendable {
    /// What the node has for sandboxes. Default: 80 % of its memory, all of its cores, 64 sandboxes for each core.
    public var capacity: NodeCapacity
    /// Default: 16 times the memory (a sandbox seldom touches more than a small part of its limit; what is really used
    /// is watched besides, see ``memoryReserve``) and 128 times the cores.
    public var overcommit = Overcommit(memory: 16, cpus: 128)
    /// Bytes of available memory below which nothing is started, and idle sandboxes are put to standby, whatever was
    /// promised. Default: 5 % of the machine's memory.
    public var memoryReserve: Int64
    /// Creations, wakes and starts that are carried out at once. More only makes all of them slower.
    public var parallelStarts: Int
    /// How many may wait; who comes then is refused at once.
    public var queueLimit = 1024
    /// How long a request waits for room unless it says otherwise (``AdmissionWait``).
    public var timeout = Duration.seconds(30)
    /// Waiting requests take turns by the value of this label of their sandboxes.
    public var fairLabel = "tenant"
    /// A sandbox that was used within this time is not put to standby to make room for another.
    public var grace = Duration.milliseconds(500)
    /// How many of other groups may pass one that does not fit yet, because it needs much, before they wait for it.
    public var patience = 8
    /// Reads how much memory the machine has left; `nil` if nobody can tell.
    public var availableMemory: @Sendable () -> Int64?

    /// The defaults for this machine.
    public init() {
        let memory = HostMemory.read()
        let cores = max(1, HostMemory.cores)
        let total = memory?.total ?? 4 << 30
        capacity = NodeCapacity(memoryMiB: Int((total / 10 * 8) >> 20), cpus: Double(cores), sandboxes: 64 * cores)
        memoryReserve = total / 20
        parallelStarts = max(2, cores)
        availableMemory = { HostMemory.read()?.available }
    }

    /// What may be promised at most.
    var budget: Demand {
        Demand(
            memory: Int64(Double(capacity.memoryMiB) * overcommit.memory * 1_048_576),
            cpus: capacity.cpus * overcommit.cpus, sandboxes: capacity.sandboxes)
    }
}

/// What the request that is being answered says about waiting for room.
public enum AdmissionWait {
    /// Instead of ``AdmissionPolicy/timeout``; zero: not at all.
    @TaskLocal public static var limit: Duration?
}

/// What a sandbox with processes takes of the node.
struct Demand: Sendable, Hashable {
    /// Bytes.
    var memory: Int64
    var cpus: Double
    var sandboxes: Int

    static let none = Demand(memory: 0, cpus: 0, sandboxes: 0)

    init(memory: Int64, cpus: Double, sandboxes: Int) {
        self.memory = memory
        self.cpus = cpus
        self.sandboxes = sandboxes
    }

    init(_ limits: ResourceLimits) {
        self.init(memory: Int64(limits.memoryMiB) << 20, cpus: limits.cpus, sandboxes: 1)
    }

    static func + (left: Demand, right: Demand) -> Demand {
        Demand(
            memory: left.memory + right.memory, cpus: left.cpus + right.cpus,
            sandboxes: left.sandboxes + right.sandboxes)
    }

    static func - (left: Demand, right: Demand) -> Demand {
        Demand(
            memory: left.memory - right.memory, cpus: left.cpus - right.cpus,
            sandboxes: left.sandboxes - right.sandboxes)
    }

    /// Sums of fractions are compared with a little tolerance.
    func fits(in budget: Demand) -> Bool {
        memory <= budget.memory && cpus <= budget.cpus + 1e-6 && sandboxes <= budget.sandboxes
    }

    /// Each part at least 0.
    var clamped: Demand { Demand(memory: max(0, memory), cpus: max(0, cpus), sandboxes: max(0, sandboxes)) }
}

/// The machine's memory and cores, as the kernel tells them.
enum HostMemory {
    static var cores: Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

    /// Bytes. What is available is the kernel's own estimate of what can be had without swapping.
    static func read() -> (total: Int64, available: Int64)? {
        let file = open("/proc/meminfo", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = Glibc.read(file, &bytes, bytes.count)
        let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
        func value(_ key: String) -> Int64? {
            guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return nil }
            return Int64(line.dropFirst(key.count).filter(\.isNumber)).map { $0 * 1024 }
        }
        guard let total = value("MemTotal:"), let available = value("MemAvailable:") else { return nil }
        return (total, available)
    }
}

internal import SandboxModel
internal import SandboxRuntime

/// What the operator says about the node's capacity; what is `nil` follows from the machine.
public struct AdmissionOptions: Sendable, Equatable {
    /// `NIGHTJAR_CAPACITY_MEMORY`: MiB for sandboxes. Default: 80 % of the machine's.
    public var capacityMemory: Int?
    /// `NIGHTJAR_CAPACITY_CPUS`: cores. Default: all.
    public var capacityCPUs: Double?
    /// `NIGHTJAR_CAPACITY_SANDBOXES`: how many may have processes at once. Default: 64 for each core.
    public var capacitySandboxes: Int?
    /// `NIGHTJAR_OVERCOMMIT_MEMORY`: at least 1. Default: 16.
    public var overcommitMemory: Double?
    /// `NIGHTJAR_OVERCOMMIT_CPUS`: at least 1. Default: 128.
    public var overcommitCPUs: Double?
    /// `NIGHTJAR_MEMORY_RESERVE`: MiB of available memory that are kept free. Default: 5 % of the machine's.
    public var memoryReserve: Int?
    /// `NIGHTJAR_PARALLEL_STARTS`: creations and wakes at once. Default: the number of cores, at least 2.
    public var parallelStarts: Int?
    /// `NIGHTJAR_QUEUE_LIMIT`: how many may wait for room. Default: 1,024.
    public var queueLimit: Int?
    /// `NIGHTJAR_QUEUE_TIMEOUT`: seconds that a request waits for room. Default: 30.
    public var queueTimeout: Double?
    /// `NIGHTJAR_FAIR_LABEL`: waiting requests take turns by this label. Default: `tenant`.
    public var fairLabel: String?

    public init() {}

    /// - Parameter value: The environment's value of `NIGHTJAR_` and this name.
    init(_ value: (String) -> String?) throws(SandboxError) {
        func number<N: LosslessStringConvertible & Comparable>(
            _ name: String, _ range: ClosedRange<N>
        ) throws(SandboxError) -> N? {
            guard let text = value(name) else { return nil }
            guard let number = N(text), range.contains(number) else {
                throw SandboxError(
                    .invalidRequest, "The environment's NIGHTJAR_\(name) is not valid.",
                    hint: "a number from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        capacityMemory = try number("CAPACITY_MEMORY", 128...(1 << 30))
        capacityCPUs = try number("CAPACITY_CPUS", 0.1...65_536)
        capacitySandboxes = try number("CAPACITY_SANDBOXES", 1...1_000_000)
        overcommitMemory = try number("OVERCOMMIT_MEMORY", 1...1000)
        overcommitCPUs = try number("OVERCOMMIT_CPUS", 1...10_000)
        memoryReserve = try number("MEMORY_RESERVE", 0...(1 << 30))
        parallelStarts = try number("PARALLEL_STARTS", 1...256)
        queueLimit = try number("QUEUE_LIMIT", 1...100_000)
        queueTimeout = try number("QUEUE_TIMEOUT", 0...3600)
        fairLabel = value("FAIR_LABEL")
    }

    /// With the machine's defaults filled in.
    var policy: AdmissionPolicy {
        var policy = AdmissionPolicy()
        if let capacityMemory { policy.capacity.memoryMiB = capacityMemory }
        if let capacityCPUs { policy.capacity.cpus = capacityCPUs }
        if let capacitySandboxes { policy.capacity.sandboxes = capacitySandboxes }
        if let overcommitMemory { policy.overcommit.memory = overcommitMemory }
        if let overcommitCPUs { policy.overcommit.cpus = overcommitCPUs }
        if let memoryReserve { policy.memoryReserve = Int64(memoryReserve) << 20 }
        if let parallelStarts { policy.parallelStarts = parallelStarts }
        if let queueLimit { policy.queueLimit = queueLimit }
        if let queueTimeout { policy.timeout = .seconds(queueTimeout) }
        if let fairLabel { policy.fairLabel = fairLabel }
        return policy
    }
}

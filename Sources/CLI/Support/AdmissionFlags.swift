internal import ArgumentParser

/// Options of `serve` about the node's capacity; each is the environment's NIGHTJAR_NAME, too.
struct AdmissionFlags: ParsableArguments {
    @Option(help: "MiB of memory for sandboxes. (default: 80 % of the machine's)")
    var capacityMemory: Int?
    @Option(help: "Cores for sandboxes. (default: all)")
    var capacityCpus: Double?
    @Option(help: "Sandboxes that may have processes at once. (default: 64 for each core)")
    var capacitySandboxes: Int?
    @Option(help: "The memory limits together may reach the capacity times this, at least 1. (default: 16)")
    var overcommitMemory: Double?
    @Option(help: "The same for cores. (default: 128)")
    var overcommitCpus: Double?
    @Option(help: "MiB of available memory that are kept free. (default: 5 % of the machine's)")
    var memoryReserve: Int?
    @Option(help: "Creations and wakes at once, 1 to 256. (default: the number of cores, at least 2)")
    var parallelStarts: Int?
    @Option(help: "Requests that may wait for room. (default: 1024)")
    var queueLimit: Int?
    @Option(help: "Seconds that a request waits for room, 0 to 3600. (default: 30)")
    var queueTimeout: Double?
    @Option(help: "Waiting requests take turns by the value of this label. (default: tenant)")
    var fairLabel: String?

    var environment: [String: String?] {
        [
            "CAPACITY_MEMORY": capacityMemory.map { "\($0)" }, "CAPACITY_CPUS": capacityCpus.map { "\($0)" },
            "CAPACITY_SANDBOXES": capacitySandboxes.map { "\($0)" },
            "OVERCOMMIT_MEMORY": overcommitMemory.map { "\($0)" }, "OVERCOMMIT_CPUS": overcommitCpus.map { "\($0)" },
            "MEMORY_RESERVE": memoryReserve.map { "\($0)" }, "PARALLEL_STARTS": parallelStarts.map { "\($0)" },
            "QUEUE_LIMIT": queueLimit.map { "\($0)" }, "QUEUE_TIMEOUT": queueTimeout.map { "\($0)" },
            "FAIR_LABEL": fairLabel,
        ]
    }
}

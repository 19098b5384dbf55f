/// Upper bounds of a sandbox as a whole, enforced by the host.
public struct ResourceLimits: Sendable, Hashable, Codable {
    /// RAM of its processes and of its files in memory; 128 to 1,048,576. Default 2,048. Nothing of it is swapped.
    public var memoryMiB: Int
    /// In cores; 0.1 to 256. Default 2.
    public var cpus: Double
    /// Share of the CPU when there is not enough for all, against the other sandboxes' weights; 1 to 10,000.
    /// Default 100.
    public var cpuWeight: Int
    /// Processes and threads; 16 to 65,536. Default 1,024.
    public var pids: Int
    /// Files that it writes, and what their names need; 64 to 1,048,576. There are as many files as there are units of
    /// 16 KiB in it. `nil`: as much as there is room on the host.
    public var diskMiB: Int?
    /// Files that one process may have open; 64 to 1,048,576. Default 65,536.
    public var openFiles: Int
    /// Seconds after which a command is ended whose request names no timeout, 0.001 to 86,400; `nil`: never.
    public var execTimeout: Double?
    /// Bytes of a process's output that are kept for later readers if its request does not say; 4 KiB to 16 MiB.
    /// Default 1 MiB.
    public var retainedOutput: Int

    public init(
        memoryMiB: Int = 2048, cpus: Double = 2, cpuWeight: Int = 100, pids: Int = 1024, diskMiB: Int? = nil,
        openFiles: Int = 65_536, execTimeout: Double? = nil, retainedOutput: Int = 1 << 20
    ) {
        self.memoryMiB = memoryMiB
        self.cpus = cpus
        self.cpuWeight = cpuWeight
        self.pids = pids
        self.diskMiB = diskMiB
        self.openFiles = openFiles
        self.execTimeout = execTimeout
        self.retainedOutput = retainedOutput
    }

    /// What is asked for, with the defaults for the rest.
    public init(_ spec: LimitsSpec) {
        let standard = ResourceLimits()
        self.init(
            memoryMiB: spec.memoryMiB ?? standard.memoryMiB, cpus: spec.cpus ?? standard.cpus,
            cpuWeight: spec.cpuWeight ?? standard.cpuWeight, pids: spec.pids ?? standard.pids,
            diskMiB: spec.diskMiB, openFiles: spec.openFiles ?? standard.openFiles, execTimeout: spec.execTimeout,
            retainedOutput: spec.retainedOutput ?? standard.retainedOutput)
    }

    enum CodingKeys: String, CodingKey {
        case memoryMiB = "memory_mib"
        case cpus
        case cpuWeight = "cpu_weight"
        case pids
        case diskMiB = "disk_mib"
        case openFiles = "open_files"
        case execTimeout = "exec_timeout"
        case retainedOutput = "retained_output"
    }
}

/// Some of the fields of ``ResourceLimits``; `nil`: nothing is said about this one.
public struct LimitsSpec: Sendable, Hashable, Codable {
    public var memoryMiB: Int?
    public var cpus: Double?
    public var cpuWeight: Int?
    public var pids: Int?
    public var diskMiB: Int?
    public var openFiles: Int?
    public var execTimeout: Double?
    public var retainedOutput: Int?

    public init(
        memoryMiB: Int? = nil, cpus: Double? = nil, cpuWeight: Int? = nil, pids: Int? = nil, diskMiB: Int? = nil,
        openFiles: Int? = nil, execTimeout: Double? = nil, retainedOutput: Int? = nil
    ) {
        self.memoryMiB = memoryMiB
        self.cpus = cpus
        self.cpuWeight = cpuWeight
        self.pids = pids
        self.diskMiB = diskMiB
        self.openFiles = openFiles
        self.execTimeout = execTimeout
        self.retainedOutput = retainedOutput
    }

    public init(_ limits: ResourceLimits) {
        self.init(
            memoryMiB: limits.memoryMiB, cpus: limits.cpus, cpuWeight: limits.cpuWeight, pids: limits.pids,
            diskMiB: limits.diskMiB, openFiles: limits.openFiles, execTimeout: limits.execTimeout,
            retainedOutput: limits.retainedOutput)
    }

    /// These, and `defaults` where they say nothing.
    public func over(_ defaults: LimitsSpec) -> LimitsSpec {
        LimitsSpec(
            memoryMiB: memoryMiB ?? defaults.memoryMiB, cpus: cpus ?? defaults.cpus,
            cpuWeight: cpuWeight ?? defaults.cpuWeight, pids: pids ?? defaults.pids,
            diskMiB: diskMiB ?? defaults.diskMiB, openFiles: openFiles ?? defaults.openFiles,
            execTimeout: execTimeout ?? defaults.execTimeout,
            retainedOutput: retainedOutput ?? defaults.retainedOutput)
    }

    public enum CodingKeys: String, CodingKey, CaseIterable {
        case memoryMiB = "memory_mib"
        case cpus
        case cpuWeight = "cpu_weight"
        case pids
        case diskMiB = "disk_mib"
        case openFiles = "open_files"
        case execTimeout = "exec_timeout"
        case retainedOutput = "retained_output"
    }

    /// - Throws: ``SandboxError`` with `invalid_request`, naming the field and the bound.
    public func check() throws(SandboxError) {
        let integers: [(Int?, ClosedRange<Double>, CodingKeys)] = [
            (memoryMiB, 128...1_048_576, .memoryMiB), (cpuWeight, 1...10_000, .cpuWeight), (pids, 16...65_536, .pids),
            (diskMiB, 64...1_048_576, .diskMiB), (openFiles, 64...1_048_576, .openFiles),
            (retainedOutput, 4096...Double(16 << 20), .retainedOutput),
        ]
        for (value, range, key) in integers {
            if let value { try SandboxSpec.check(Double(value), in: range, "limits.\(key.rawValue)") }
        }
        if let cpus { try SandboxSpec.check(cpus, in: 0.1...256, "limits.cpus") }
        if let execTimeout { try SandboxSpec.check(execTimeout, in: 0.001...86_400, "limits.exec_timeout") }
    }
}

internal import Glibc
public import SandboxModel

/// Room above a memory limit in which a guard acts, in bytes.
public struct MemoryMargins: Sendable, Hashable {
    /// Between the limit and the point from which nobody gets more.
    public var margin: Int
    /// What the guard may add to that while it ends a process.
    public var reserve: Int
    public init(margin: Int, reserve: Int) {
        self.margin = margin
        self.reserve = reserve
    }
}

/// One control group, in every hierarchy that bounds or counts something.
public struct Cgroup: Sendable, Hashable {
    /// Absolute directories, one per hierarchy.
    public let directories: [String]
    private let layout: CgroupLayout
    /// Below the mount points, such as `nightjar/x1`.
    private let name: String

    /// Names a group without making it.
    ///
    /// - Parameter name: Relative, components of letters, digits, `-`, `_` and `.`.
    public init(_ name: String, layout: CgroupLayout) {
        self.name = name
        self.layout = layout
        var mounts = Set(layout.version1.values)
        if let version2 = layout.version2, !layout.version2Controllers.isEmpty { mounts.insert(version2) }
        directories = mounts.sorted().map { $0 + "/" + name }
    }

    /// Makes the group and its parents. An existing one is taken as it is.
    public func create() throws(SystemError) {
        for mount in Set(layout.version1.values) { try makeDirectoriesAgain(below: mount, delegating: []) }
        if let version2 = layout.version2, !layout.version2Controllers.isEmpty {
            try makeDirectoriesAgain(below: version2, delegating: layout.version2Controllers)
        }
    }

    /// Begins again when somebody removed a parent because it was still empty (``removeEmptyParents()``).
    private func makeDirectoriesAgain(
        below mount: String, delegating controllers: Set<CgroupLayout.Controller>
    ) throws(SystemError) {
        for _ in 0..<16 {
            do {
                return try makeDirectories(below: mount, delegating: controllers)
            } catch {
                guard error.code == ENOENT else { throw error }
            }
        }
        try makeDirectories(below: mount, delegating: controllers)
    }

    private func makeDirectories(
        below mount: String, delegating controllers: Set<CgroupLayout.Controller>
    ) throws(SystemError) {
        var path = mount
        for component in name.split(separator: "/") {
            for controller in controllers where controller != .cpuacct && controller != .freezer {
                // Refused where processes sit in a group that is not the root; the limits then fail to be set.
                try? TextFile.write("+\(controller.rawValue)", to: path + "/cgroup.subtree_control")
            }
            path += "/" + component
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError.last("mkdir", path) }
        }
    }

    /// Removes the groups above this one that have nothing in them.
    public func removeEmptyParents() {
        for directory in directories {
            var parent = directory[...]
            for _ in name.split(separator: "/").dropFirst() {
                guard let slash = parent.lastIndex(of: "/") else { break }
                parent = parent[..<slash]
                guard rmdir(String(parent)) == 0 else { break }
            }
        }
    }

    private func directory(_ controller: CgroupLayout.Controller) -> (path: String, isVersion1: Bool)? {
        if let mount = layout.version1[controller] { return (mount + "/" + name, true) }
        let controller = controller == .cpuacct ? .cpu : controller
        guard let mount = layout.version2, layout.version2Controllers.contains(controller) else { return nil }
        return (mount + "/" + name, false)
    }

    /// Files into which a process writes itself to join.
    public var processFiles: [String] { directories.map { $0 + "/cgroup.procs" } }

    /// Moves a process into the group.
    public func add(pid: Int32) throws(SystemError) {
        for file in processFiles { try TextFile.write("\(pid)", to: file) }
    }

    // MARK: Limits

    /// Sets the bounds.
    ///
    /// - Parameters:
    ///   - limits: For the guest. Swap is switched off where the kernel counts it.
    ///   - overhead: Bytes and processes that the host needs for the guest on top.
    ///   - guarded: Marks above which somebody else acts before the kernel does.
    public func apply(
        _ limits: ResourceLimits, memoryOverhead: Int = 0, processOverhead: Int = 0, guarded: MemoryMargins? = nil
    ) throws(SystemError) {
        let memory = limits.memoryMiB * 1024 * 1024 + memoryOverhead
        if let (path, isVersion1) = directory(.memory) {
            let margin = (guarded?.margin ?? 0) + (isVersion1 ? 0 : guarded?.reserve ?? 0)
            let wall = memory + margin
            try TextFile.write("\(wall)", to: path + (isVersion1 ? "/memory.limit_in_bytes" : "/memory.max"))
            if isVersion1 {
                try? TextFile.write("\(wall)", to: path + "/memory.memsw.limit_in_bytes")
            } else {
                if guarded != nil { try TextFile.write("\(memory)", to: path + "/memory.high") }
                try? TextFile.write("0", to: path + "/memory.swap.max")
                // Half a sandbox is of no use: the kernel kills all of it or none.
                try? TextFile.write("1", to: path + "/memory.oom.group")
            }
        }
        if let (path, isVersion1) = directory(.cpu) {
            let period = 100_000
            let quota = max(1000, Int(limits.cpus * Double(period)))
            if isVersion1 {
                try TextFile.write("\(period)", to: path + "/cpu.cfs_period_us")
                try TextFile.write("\(quota)", to: path + "/cpu.cfs_quota_us")
            } else {
                try TextFile.write("\(quota) \(period)", to: path + "/cpu.max")
            }
        }
        try setWeight(limits.cpuWeight)
        if let (path, _) = directory(.pids) {
            try TextFile.write("\(limits.pids + processOverhead)", to: path + "/pids.max")
        }
    }

    /// Sets the group's part of the CPU against its siblings'; 100 is the usual one.
    public func setWeight(_ weight: Int) throws(SystemError) {
        guard let (path, isVersion1) = directory(.cpu) else { return }
        // Version 1 counts from 1,024 where version 2 and the limits count from 100.
        if isVersion1 {
            try TextFile.write("\(max(2, weight * 1024 / 100))", to: path + "/cpu.shares")
        } else {
            try TextFile.write("\(weight)", to: path + "/cpu.weight")
        }
    }

    // MARK: Freezing

    /// Takes the CPU from all processes of the group, where they are, until ``thaw()``. Does nothing where the kernel
    /// offers no freezer.
    ///
    /// The kernel may need some milliseconds more. In version 1 a frozen process does not even end by SIGKILL: whoever
    /// kills must thaw.
    public func freeze() throws(SystemError) { try setFrozen(true) }

    /// Undoes ``freeze()``. A group that is not frozen stays as it is.
    public func thaw() throws(SystemError) { try setFrozen(false) }

    private func setFrozen(_ frozen: Bool) throws(SystemError) {
        if let mount = layout.version1[.freezer] {
            try TextFile.write(frozen ? "FROZEN" : "THAWED", to: "\(mount)/\(name)/freezer.state")
        } else if let mount = layout.version2, !layout.version2Controllers.isEmpty {
            let file = "\(mount)/\(name)/cgroup.freeze"
            // Linux before 5.2 has none.
            guard access(file, F_OK) == 0 else { return }
            try TextFile.write(frozen ? "1" : "0", to: file)
        }
    }

    // MARK: Readings

    /// CPU time of all processes that were ever in the group, in nanoseconds.
    public func cpuNanoseconds() throws(SystemError) -> UInt64 {
        guard let (path, isVersion1) = directory(.cpuacct) else { throw SystemError(ENOENT, "cpu accounting") }
        if isVersion1 { return try number(path + "/cpuacct.usage") }
        return try value("usage_usec", in: path + "/cpu.stat") * 1000
    }

    /// RAM that the group's processes occupy, without page cache that the kernel can take back.
    public func memoryBytes() throws(SystemError) -> UInt64 {
        guard let (path, isVersion1) = directory(.memory) else { throw SystemError(ENOENT, "memory accounting") }
        let usage = try number(path + (isVersion1 ? "/memory.usage_in_bytes" : "/memory.current"))
        let key = isVersion1 ? "total_inactive_file" : "inactive_file"
        let cache = (try? value(key, in: path + "/memory.stat")) ?? 0
        return usage > cache ? usage - cache : 0
    }

    /// Processes that the kernel killed in this group for memory.
    public func outOfMemoryKills() throws(SystemError) -> UInt64 {
        guard let (path, isVersion1) = directory(.memory) else { return 0 }
        return try value("oom_kill", in: path + (isVersion1 ? "/memory.oom_control" : "/memory.events"))
    }

    /// Processes in the group now.
    public func processes() throws(SystemError) -> [Int32] {
        guard let directory = directories.first else { return [] }
        return try TextFile.read(directory + "/cgroup.procs", limit: 1 << 20).split(separator: "\n").compactMap {
            Int32($0)
        }
    }

    /// Threads in the group now.
    func threads() throws(SystemError) -> [Int32] {
        guard let directory = directories.first else { return [] }
        let isVersion2 = access(directory + "/cgroup.threads", F_OK) == 0
        return try TextFile.read(directory + (isVersion2 ? "/cgroup.threads" : "/tasks"), limit: 1 << 20)
            .split(separator: "\n").compactMap { Int32($0) }
    }

    private func number(_ path: String) throws(SystemError) -> UInt64 {
        let text = try TextFile.read(path).prefix { $0.isNumber }
        guard let number = UInt64(text) else { throw SystemError(EINVAL, "read", path) }
        return number
    }

    private func value(_ key: String, in path: String) throws(SystemError) -> UInt64 {
        for line in try TextFile.read(path).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == key, let value = UInt64(words[1]) { return value }
        }
        throw SystemError(ENOENT, key, path)
    }

    // MARK: The end

    /// Kills every process of the group, those that are just being forked too, and waits until none is left. Goes on
    /// even when the task is cancelled.
    ///
    /// - Throws: ``SandboxError`` with `deadline_exceeded` if some are left at the deadline.
    public func killAll(until deadline: ContinuousClock.Instant) async throws {
        var pause = Duration.milliseconds(1)
        try? thaw()
        while true {
            let living = directories.reduce(into: Set<Int32>()) { found, directory in
                let list = (try? TextFile.read(directory + "/cgroup.procs", limit: 1 << 20)) ?? ""
                found.formUnion(list.split(separator: "\n").compactMap { Int32($0) })
            }
            if living.isEmpty { return }
            for pid in living where pid > 1 { kill(pid, SIGKILL) }
            guard ContinuousClock.now < deadline else {
                throw SandboxError(.deadlineExceeded, "Processes of the sandbox did not end.")
            }
            await Reactor.shared.shieldedSleep(pause)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Removes the group, which must be without processes. One that is not there is fine. Goes on even when the task is
    /// cancelled.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` if it is still in use at the deadline: the kernel may need a
    ///   moment after the last process.
    public func remove(until deadline: ContinuousClock.Instant) async throws {
        for directory in directories {
            while rmdir(directory) != 0, errno != ENOENT {
                let error = SystemError.last("rmdir", directory)
                guard error.code == EBUSY, ContinuousClock.now < deadline else {
                    throw SandboxError(.driverFailed, "A control group cannot be removed.", cause: error)
                }
                await Reactor.shared.shieldedSleep(.milliseconds(2))
            }
        }
    }
}

public import Isolation
internal import LinuxSystem
internal import SandboxModel

// What every driver says of an execution in the same way.
extension ShimSlot {
    /// The use of everything in the slot's group.
    ///
    /// - Throws: ``SandboxError`` with `unsupported` without control groups, `driver_failed`.
    public func stats() async throws -> ExecutionStats {
        guard let cgroup else {
            throw SandboxError(.unsupported, "This machine has no control groups to count a sandbox's usage with.")
        }
        do {
            return try await BlockingPool.shared.run {
                ExecutionStats(
                    cpuNanoseconds: try cgroup.cpuNanoseconds(), memoryBytes: try cgroup.memoryBytes(),
                    processes: try cgroup.processes().count)
            }
        } catch {
            throw SandboxError(.driverFailed, "The sandbox's usage cannot be read.", cause: error)
        }
    }

    /// Returns when the sandbox has ended.
    ///
    /// - Parameter files: Whose last lines tell why.
    public func ended(_ files: [String]) async -> ExecutionEnd {
        do {
            let ending = try await shim.ended()
            let kills = (try? cgroup?.outOfMemoryKills()) ?? 0
            return ExecutionEnd(
                code: ending.code, outOfMemory: kills > 0 || ending.outOfMemory, detail: lastWords(files))
        } catch {
            return ExecutionEnd(code: nil, detail: "\((error as? SandboxError)?.cause ?? error)")
        }
    }
}

internal import Isolation
internal import Logging
internal import SandboxModel
internal import Store
internal import Synchronization

// What sandboxes use. The store adds it up; here it is read from their executions.
extension SandboxRuntime {
    /// Reads the counters of all sandboxes that have processes, at every interval, until the task is cancelled.
    func meterUsage() async {
        var nextPruning = clock.moment
        while !Task.isCancelled, !isStopping {
            await meterAll()
            if clock.moment >= nextPruning {
                nextPruning = clock.moment.advanced(by: 24 * 3600)
                await pruneUsage()
            }
            do { try await clock.sleep(for: configuration.usageInterval) } catch { return }
        }
    }

    /// One reading of everybody, in one transaction. Who has no processes costs nothing.
    func meterAll() async {
        var readings: [UsageReading] = []
        var asleep: Int64 = 0
        for sandbox in registry.all {
            let (incarnation, bytes) = sandbox.machine.withLock { ($0.incarnation, $0.status.checkpoint?.bytes ?? 0) }
            asleep += bytes
            guard let incarnation, let reading = await reading(of: sandbox, incarnation) else { continue }
            readings.append(reading)
        }
        telemetry.asleep(bytes: asleep)
        await add(readings)
    }

    /// The last reading of an incarnation that is about to be ended.
    func meterLast(_ sandbox: Sandbox, _ incarnation: Incarnation) async {
        guard let reading = await reading(of: sandbox, incarnation) else { return }
        await add([reading])
    }

    /// An incarnation ended by itself: its counters are gone, but not the time since they were read.
    func meterLoss(_ sandbox: Sandbox, _ execution: ExecutionID?) async {
        guard let execution else { return }
        let (at, moment) = (clock.now, clock.moment)
        let last = sandbox.lastMetered.withLock { last -> Moment? in
            defer { last = nil }
            return last?.of == execution ? last?.at : nil
        }
        // How long it ran while the server was away, nobody knows.
        guard let last else { return }
        await add([
            UsageReading(
                sandbox: sandbox.id, execution: execution, at: at, elapsed: moment.seconds(since: last),
                cpuNanoseconds: nil, memoryBytes: nil, limitBytes: Int64(sandbox.limits.memoryMiB) << 20)
        ])
    }

    private func reading(of sandbox: Sandbox, _ incarnation: Incarnation) async -> UsageReading? {
        guard let stats = try? await incarnation.execution.stats() else { return nil }
        let (at, moment) = (clock.now, clock.moment)
        let elapsed = sandbox.lastMetered.withLock { last -> Double? in
            defer { last = (incarnation.id, moment) }
            return last?.of == incarnation.id ? last.map { moment.seconds(since: $0.at) } : nil
        }
        return UsageReading(
            sandbox: sandbox.id, execution: incarnation.id, at: at, elapsed: elapsed,
            cpuNanoseconds: stats.cpuNanoseconds, memoryBytes: stats.memoryBytes,
            limitBytes: Int64(sandbox.limits.memoryMiB) << 20)
    }

    /// What cannot be stored now is in the next reading: the counters only grow.
    private func add(_ readings: [UsageReading]) async {
        guard !readings.isEmpty else { return }
        do {
            telemetry.used(try await usage.meter(readings))
        } catch {
            logger.warning("Usage could not be stored", metadata: ["error": "\(error)"])
        }
    }

    private func pruneUsage() async {
        do {
            try await usage.pruneUsage(before: clock.now.adding(seconds: -configuration.usageRetention.seconds))
        } catch {
            logger.warning("Old usage could not be removed", metadata: ["error": "\(error)"])
        }
    }
}

internal import Glibc
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import Logging
internal import SandboxModel
internal import Shim
internal import Synchronization

/// Remembers what was found out about this machine.
final class CapabilityProbe: Sendable {
    private let known = Mutex<DriverCapabilities?>(nil)
    private let flight = SingleFlight()

    func result(_ find: () async -> DriverCapabilities) async -> DriverCapabilities {
        if let known = known.withLock({ $0 }) { return known }
        try? await flight.run {
            let found = await find()
            known.withLock { $0 = found }
        }
        return known.withLock { $0 } ?? .unavailable("nobody could find out")
    }
}

extension DriverCapabilities {
    fileprivate static func unavailable(_ reason: String) -> DriverCapabilities {
        let ability = Ability(available: false, reason: reason)
        return DriverCapabilities(
            tier: "gvisor", version: "", run: ability, pause: ability, checkpoint: ability, limits: ability)
    }
}

extension GVisorDriver {
    /// Finds out by running a sandbox of its own once, which takes about half a second; later calls return at once.
    public func capabilities() async -> DriverCapabilities {
        await probe.result { await self.findCapabilities() }
    }

    private func findCapabilities() async -> DriverCapabilities {
        guard access(configuration.runscPath, X_OK) == 0 else {
            return .unavailable("\(configuration.runscPath) is not there; install runsc")
        }
        var found = DriverCapabilities.unavailable("an earlier step of the trial failed")
        do {
            found.version = try await Runsc.version(configuration.runscPath)
            let obstacle = CgroupLayout.current().obstacle
            found.limits = .init(available: obstacle == nil, reason: obstacle)
            try await tryPatiently(&found)
        } catch {
            let reason = Self.describe(error)
            // The first step that is not known to work is the one that failed.
            if !found.run.available {
                found.run.reason = reason
            } else if !found.pause.available {
                found.pause.reason = reason
            } else {
                found.checkpoint.reason = reason
            }
        }
        try? await removeTrial()
        return found
    }

    private static func describe(_ error: any Error) -> String {
        guard let error = error as? SandboxError else { return "\(error)" }
        return [error.message, error.cause.map { "\($0)" }].compactMap { $0 }.joined(separator: " ")
    }

    // MARK: The trial

    private var trialDirectory: String { configuration.slotsDirectory + "/probe" }

    private func removeTrial() async throws {
        let directory = trialDirectory
        try await BlockingPool.shared.run { try TreeRemoval.remove(directory) }
    }

    /// A machine that is too busy for the trial is not one that cannot run sandboxes.
    private func tryPatiently(_ found: inout DriverCapabilities) async throws {
        for attempt in 1... {
            do {
                return try await tryEverything(&found)
            } catch let error as SandboxError where error.code == .deadlineExceeded && attempt < 3 {
                configuration.logger.notice("the trial of gVisor took too long and is repeated")
            }
        }
    }

    private func tryEverything(_ found: inout DriverCapabilities) async throws {
        let usesSocket = try await usesSocket()
        let root = try await makeTrialRoot()
        let image = trialDirectory + "/image"
        try await withTrialSlot(root) { slot, channel in
            try await begin(slot, usesSocket)
            try await expect(ProbeGreeting.bytes, on: channel)
            found.run = .init(available: true)
            try await slot.pause(usesSocket: usesSocket, until: .now + .seconds(10))
            try await slot.resume(usesSocket: usesSocket, until: .now + .seconds(10))
            try await echo("r", on: channel)
            found.pause = .init(available: true)
            try await slot.pause(usesSocket: usesSocket, until: .now + .seconds(10))
            try await slot.save(to: image, usesSocket: usesSocket, until: .now + .seconds(30))
        }
        try await withTrialSlot(root) { slot, channel in
            let files = try CheckpointImage.open(in: image).files
            try await load(image, files, into: slot, usesSocket, .seconds(30))
            try await echo("s", on: channel)
            found.checkpoint = .init(available: true)
        }
    }

    private func makeTrialRoot() async throws -> ShimRoot {
        let (directory, shim, slots) = (trialDirectory, configuration.shimPath, configuration.slotsDirectory)
        try await removeTrial()
        return try await BlockingPool.shared.run {
            try CheckpointImage.makeDirectories(slots, [])
            try CheckpointImage.makeDirectories(directory, ["lower/.nightjar", "upper", "work", "image"])
            let program = try TextFile.bytes(shim, limit: 64 << 20)
            try DurableFile.replace(
                directory + "/lower" + GVisorConfiguration.initPath, with: program, mode: 0o755, durable: false)
            return ShimRoot(
                lower: [directory + "/lower"],
                layer: .directories(upper: directory + "/upper", work: directory + "/work"), volatile: true,
                fresh: false)
        }
    }

    private func withTrialSlot(
        _ root: ShimRoot, _ body: (GVisorSlot, FileDescriptor) async throws -> Void
    ) async throws {
        let slot = try await createSlot()
        do {
            try slot.cgroup?.apply(ResourceLimits(), memoryOverhead: configuration.memoryOverhead)
            try await slot.shim.attachRoot(root, until: .now + .seconds(10))
            try await body(slot, try await slot.shim.channel(until: .now + .seconds(5)))
        } catch {
            await discard(slot)
            throw error
        }
        try await slot.remove()
    }

    private func echo(_ text: String, on channel: FileDescriptor) async throws {
        try channel.writeAll(Array(text.utf8))
        try await expect(Array(text.utf8), on: channel)
    }

    private func expect(_ bytes: [UInt8], on channel: FileDescriptor) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        var received: [UInt8] = []
        while received.count < bytes.count {
            let part = try await channel.read(until: deadline)
            guard !part.isEmpty else { break }
            received += part
        }
        guard received == bytes else { throw SandboxError(.driverFailed, "A trial sandbox did not answer.") }
    }
}

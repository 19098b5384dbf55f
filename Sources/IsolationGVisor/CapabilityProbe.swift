public import Isolation
internal import LinuxSystem
internal import SandboxModel
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
        return known.withLock { $0 }
            ?? DriverCapabilities(tier: "gvisor", version: "", run: .init(available: false, reason: "not probed"),
                pause: .init(available: false), checkpoint: .init(available: false), limits: .init(available: false))
    }
}

extension GVisorDriver {
    public func capabilities() async -> DriverCapabilities {
        await probe.result { await self.findCapabilities() }
    }

    private func findCapabilities() async -> DriverCapabilities {
        var found = DriverCapabilities(
            tier: "gvisor", version: "", run: .init(available: true), pause: .init(available: true),
            checkpoint: .init(available: true), limits: .init(available: layout != nil, reason: CgroupLayout.current().obstacle))
        do {
            found.version = try await Runsc.version(configuration.runscPath)
        } catch {
            let reason = "runsc cannot be run: \(error)"
            found.run = .init(available: false, reason: reason)
            found.pause = found.run
            found.checkpoint = found.run
        }
        return found
    }
}

internal import Glibc
public import Isolation
internal import IsolationShim
internal import LinuxSystem
internal import QMP
internal import SandboxModel
internal import Synchronization

extension MicroVMDriver {
    /// Finds out once by starting QEMU in a jail, which takes some tenths of a second; later calls return at once.
    public func capabilities() async -> DriverCapabilities {
        if let known = known.withLock({ $0 }) { return known }
        try? await finding.run {
            guard known.withLock({ $0 }) == nil else { return }
            let found = await findCapabilities()
            known.withLock { $0 = found }
        }
        return known.withLock { $0 } ?? Self.without("nobody could find out")
    }

    private static func without(_ reason: String) -> DriverCapabilities {
        let ability = DriverCapabilities.Ability(available: false, reason: reason)
        return DriverCapabilities(
            tier: tier, version: "", run: ability, pause: ability, checkpoint: ability, limits: ability,
            acceleration: ability)
    }

    private func findCapabilities() async -> DriverCapabilities {
        guard access(configuration.qemuPath, X_OK) == 0 else {
            return Self.without("\(configuration.qemuPath) is not there; install qemu-system-x86")
        }
        do {
            let kernel = try await BlockingPool.shared.run { [configuration] in try GuestKernel.current(configuration) }
            let version = try await tryMonitor()
            let obstacle = CgroupLayout.current().obstacle
            return DriverCapabilities(
                tier: Self.tier, version: "QEMU \(version), kernel \(kernel.version)", run: .init(available: true),
                pause: .init(available: true), checkpoint: .init(available: false, reason: Self.noCheckpoint),
                limits: .init(available: obstacle == nil, reason: obstacle),
                acceleration: .init(available: false, reason: "machines are emulated"))
        } catch let error as SandboxError {
            return Self.without([error.message, error.cause.map { "\($0)" }].compactMap { $0 }.joined(separator: " "))
        } catch {
            return Self.without("\(error)")
        }
    }

    /// QEMU's version, as the one says that was started as a machine's is.
    private func tryMonitor() async throws -> String {
        let slot = try await makeSlot(ResourceLimits(memoryMiB: 128, cpus: 1))
        do {
            let version = try await slot.monitor(until: .now + .seconds(10)).version.description
            try await slot.remove()
            return version
        } catch {
            await discard(slot)
            throw error
        }
    }
}

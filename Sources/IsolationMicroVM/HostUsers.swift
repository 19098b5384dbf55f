internal import IsolationShim
internal import LinuxSystem
internal import SandboxModel
internal import Synchronization

/// Users of the host that machines run as, one for each, so that none can reach another's files or processes.
///
/// Which are taken is in the names of the slots, so a later server knows it as well.
final class HostUsers: Sendable {
    private let first: UInt32
    private let count: UInt32
    /// Given out, and not yet to be seen in a slot's name.
    private let pending = Mutex<Set<UInt32>>([])

    init(first: UInt32, count: UInt32) {
        self.first = first
        self.count = count
    }

    /// A user whom nobody else runs as, for a slot that is made before ``settle(_:)``.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` if there is none.
    func take(_ configuration: MicroVMConfiguration) async throws -> UInt32 {
        try await BlockingPool.shared.run { [self] in
            try pending.withLock { pending in
                let slots = try ShimSlot.recorded(in: configuration.slotsDirectory)
                let taken = pending.union(slots.compactMap(user))
                guard let user = (first..<first + count).first(where: { !taken.contains($0) }) else {
                    throw SandboxError(
                        .driverFailed, "All \(count) users for machines are taken.", hint: "delete sandboxes")
                }
                pending.insert(user)
                return user
            }
        }
    }

    /// The slot is there, or nothing came of it.
    func settle(_ user: UInt32) { pending.withLock { _ = $0.remove(user) } }

    /// A slot's name.
    func name(_ prefix: String, _ user: UInt32) -> String { "\(prefix)-\(user - first)" }

    private func user(_ name: String) -> UInt32? {
        name.split(separator: "-").last.flatMap { UInt32($0) }.map { first + $0 }
    }
}

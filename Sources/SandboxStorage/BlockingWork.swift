internal import LinuxSystem
internal import SandboxModel

/// Runs file work on threads that may block, and turns its failures into the one type that crosses modules.
///
/// The work is not cancelled with the caller: half a rename helps nobody.
func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    do {
        return try await BlockingPool.shared.run(body)
    } catch let error as SystemError {
        throw error.sandboxError(.storeFailed, "The data directory failed: \(error.operation).")
    }
}

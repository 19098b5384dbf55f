internal import Access
internal import HTTPKit
internal import SandboxModel
internal import SandboxRuntime

extension APIService {
    /// Lends a running guest to a route that only looks.
    ///
    /// With a key that may write, this wakes the sandbox and keeps it awake like any other use. With one that may only
    /// read, it does neither.
    ///
    /// - Throws: ``SandboxError`` with `forbidden` if the sandbox would have to be woken and the key may not do that.
    func look<R: Sendable>(
        _ sandbox: String, _ activity: Activity, _ context: APIContext,
        _ body: @Sendable (GuestContext) async throws -> R
    ) async throws -> R {
        if context.principal.may(.write) { return try await runtime.withGuest(sandbox, activity, body) }
        do {
            return try await runtime.withGuest(sandbox, .observer, body)
        } catch let error as SandboxError where error.code == .invalidState {
            throw SandboxError(
                .forbidden, "\(error.message) This key may not wake it.",
                hint: "waking needs the scope \(AccessScope.write.rawValue)")
        }
    }
}

internal import Dispatch

/// Runs file work on threads that may block, so that the cooperative pool never does.
///
/// The work is not cancelled with the caller: half a rename helps nobody.
func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        queue.async { continuation.resume(with: Result(catching: body)) }
    }
}

private let queue = DispatchQueue(label: "nightjar.storage", attributes: .concurrent)

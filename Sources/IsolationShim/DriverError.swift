internal import LinuxSystem
internal import SandboxModel

/// What a driver's caller is told of an error: itself, if it is meant for callers, or `driver_failed` with a message.
public func driverError(_ error: any Error, _ message: String) -> any Error {
    if error is SandboxError { return error }
    if error is CancellationError { return SandboxError(.cancelled, "The operation was cancelled.") }
    if let error = error as? SystemError { return error.sandboxError(.driverFailed, message) }
    return SandboxError(.driverFailed, message, cause: error)
}

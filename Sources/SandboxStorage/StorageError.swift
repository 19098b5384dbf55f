internal import Glibc
internal import SandboxModel

/// The error for a failed call on the data directory; reads `errno`, so it comes right after the call.
func storageError(_ action: String, _ path: String = "", errno code: Int32 = Glibc.errno) -> SandboxError {
    let reason = String(cString: strerror(code))
    let cause = StorageFailure(action: action, path: path, errno: code, reason: reason)
    switch code {
    case ENOSPC, EDQUOT:
        return SandboxError(
            .noSpace, "The data directory's device is full.", hint: "free some space and try again", cause: cause)
    default:
        return SandboxError(.storeFailed, "The data directory failed: \(action): \(reason).", cause: cause)
    }
}

/// For the log: which call failed on which path.
struct StorageFailure: Error, CustomStringConvertible {
    var action: String
    var path: String
    var errno: Int32
    var reason: String
    var description: String { "\(action) \(path): \(reason) (errno \(errno))" }
}

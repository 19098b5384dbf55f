internal import Glibc
internal import Wire

/// Translates errno to what the host understands.
enum SystemError {
    static func text(_ error: Int32) -> String {
        guard let pointer = strerror(error) else { return "error \(error)" }
        return String(cString: pointer)
    }

    /// A status whose message says what was tried on what, and why it failed.
    static func status(_ error: Int32, _ what: String, _ path: [UInt8] = []) -> WireStatus {
        let object = path.isEmpty ? "" : " \(Path.display(path))"
        return WireStatus(code(error), "\(what)\(object): \(text(error))", errno: error)
    }

    static func code(_ error: Int32) -> WireStatus.Code {
        switch error {
        case ENOENT, ESRCH, ENXIO, ENODEV: .notFound
        case EEXIST: .exists
        case EACCES, EPERM, EROFS: .permission
        case ENOTDIR: .notDirectory
        case EISDIR: .isDirectory
        case ENOTEMPTY: .notEmpty
        case ENOSPC, EDQUOT: .noSpace
        case EFBIG, E2BIG: .tooLarge
        case EINVAL, ENAMETOOLONG, ELOOP, EXDEV, ETXTBSY: .invalid
        case ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET: .refused
        case ENOSYS, EOPNOTSUPP: .unsupported
        case ECANCELED: .cancelled
        default: .failed
        }
    }
}

/// Calls until it is not interrupted by a signal.
@discardableResult
func retrying(_ call: () -> Int) -> Int {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

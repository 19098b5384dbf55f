internal import Glibc
public import SandboxModel

/// A system call that failed. It stays within the modules that talk to the kernel, as a ``SandboxError``'s cause.
public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    /// `errno`.
    public let code: Int32
    /// What was tried.
    public let operation: String
    public let path: String?

    public init(_ code: Int32, _ operation: String, _ path: String? = nil) {
        self.code = code
        self.operation = operation
        self.path = path
    }

    /// The last system call's.
    static func last(_ operation: String, _ path: String? = nil) -> SystemError { SystemError(errno, operation, path) }

    public var description: String {
        "\(operation)\(path.map { " \($0)" } ?? ""): \(String(cString: strerror(code)))"
    }

    public var isNotFound: Bool { code == ENOENT || code == ENOTDIR }
    public var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }

    /// As an error for users: `no_space` if that is what it is, otherwise the given code.
    public func sandboxError(_ code: SandboxError.Code, _ message: String) -> SandboxError {
        isNoSpace
            ? SandboxError(.noSpace, "The host's disk is full.", hint: "free some space and try again", cause: self)
            : SandboxError(code, message, cause: self)
    }
}

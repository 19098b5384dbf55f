/// The one error type that crosses modules and reaches users.
///
/// A process inside a sandbox that exits with a code other than 0 is a result, never an error.
public struct SandboxError: Error, Sendable {
    /// Stable, machine-readable reason. A struct over a string, so that a newer server's codes survive decoding.
    public struct Code: RawRepresentable, Sendable, Hashable, Codable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public init(from decoder: any Decoder) throws {
            rawValue = try decoder.singleValueContainer().decode(String.self)
        }
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(rawValue)
        }
    }

    public var code: Code
    /// One sentence for the user: what is wrong. No secrets, and not the cause's text.
    public var message: String
    /// What to do about it, if there is something to do.
    public var hint: String?
    /// For the log only; never sent.
    public var cause: (any Error)?

    public init(_ code: Code, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
        self.cause = cause
    }
}

extension SandboxError.Code {
    // The request is wrong.
    public static let invalidRequest = Self(rawValue: "invalid_request")
    public static let invalidJSON = Self(rawValue: "invalid_json")
    public static let unknownField = Self(rawValue: "unknown_field")
    public static let invalidName = Self(rawValue: "invalid_name")
    public static let invalidPath = Self(rawValue: "invalid_path")
    public static let invalidCursor = Self(rawValue: "invalid_cursor")
    public static let bodyTooLarge = Self(rawValue: "body_too_large")
    public static let unsupportedMediaType = Self(rawValue: "unsupported_media_type")
    public static let methodNotAllowed = Self(rawValue: "method_not_allowed")
    public static let unauthorized = Self(rawValue: "unauthorized")
    public static let forbidden = Self(rawValue: "forbidden")
    public static let rateLimited = Self(rawValue: "rate_limited")
    public static let requestTimeout = Self(rawValue: "request_timeout")
    public static let upgradeRequired = Self(rawValue: "upgrade_required")
    // Something is not there.
    public static let routeNotFound = Self(rawValue: "route_not_found")
    public static let sandboxNotFound = Self(rawValue: "sandbox_not_found")
    public static let templateNotFound = Self(rawValue: "template_not_found")
    public static let processNotFound = Self(rawValue: "process_not_found")
    public static let keyNotFound = Self(rawValue: "key_not_found")
    public static let fileNotFound = Self(rawValue: "file_not_found")
    // It collides with what is.
    public static let pidsExhausted = Self(rawValue: "pids_exhausted")
    public static let oomKilled = Self(rawValue: "oom_killed")
    public static let nameTaken = Self(rawValue: "name_taken")
    public static let invalidState = Self(rawValue: "invalid_state")
    public static let idempotencyConflict = Self(rawValue: "idempotency_conflict")
    public static let processExited = Self(rawValue: "process_exited")
    public static let fileExists = Self(rawValue: "file_exists")
    /// The request is well formed, but what it names is not such that it could be done: a resize of a process without a
    /// terminal, a removal of the root directory.
    public static let notApplicable = Self(rawValue: "not_applicable")
    public static let notADirectory = Self(rawValue: "not_a_directory")
    public static let isADirectory = Self(rawValue: "is_a_directory")
    public static let directoryNotEmpty = Self(rawValue: "directory_not_empty")
    public static let permissionDenied = Self(rawValue: "permission_denied")
    public static let rangeNotSatisfiable = Self(rawValue: "range_not_satisfiable")
    public static let checkpointBlocked = Self(rawValue: "checkpoint_blocked")
    // It cannot be done here.
    public static let unsupported = Self(rawValue: "unsupported")
    public static let cannotExecute = Self(rawValue: "cannot_execute")
    public static let noSuchUser = Self(rawValue: "no_such_user")
    public static let connectionRefused = Self(rawValue: "connection_refused")
    public static let outputLost = Self(rawValue: "output_lost")
    // It may work later.
    public static let noSpace = Self(rawValue: "no_space")
    public static let unavailable = Self(rawValue: "unavailable")
    public static let overloaded = Self(rawValue: "overloaded")
    public static let deadlineExceeded = Self(rawValue: "deadline_exceeded")
    public static let cancelled = Self(rawValue: "cancelled")
    // It is our fault.
    public static let driverFailed = Self(rawValue: "driver_failed")
    public static let guestFailed = Self(rawValue: "guest_failed")
    /// Not of a request: the problem of a sandbox whose processes and memory are gone while its files are intact.
    public static let memoryLost = Self(rawValue: "memory_lost")
    public static let storeFailed = Self(rawValue: "store_failed")
    public static let internalError = Self(rawValue: "internal_error")
}

extension SandboxError: CustomStringConvertible {
    public var description: String {
        var text = "\(code.rawValue): \(message)"
        if let hint { text += " (\(hint))" }
        if let cause { text += " [\(cause)]" }
        return text
    }
}

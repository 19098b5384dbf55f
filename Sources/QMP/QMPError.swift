public import SandboxModel

/// What went wrong between this client and QEMU's monitor. It is the cause of the ``SandboxError`` that a call throws.
///
/// After every case but `refused`, `unexpectedAnswer` and `eventsLost` the connection is of no more use.
public enum QMPError: Error, Sendable, Hashable, CustomStringConvertible {
    /// QEMU understood the command and did not carry it out.
    case refused(command: String, kind: String, reason: String)
    /// The command succeeded, and its answer is not of the form that it has to have.
    case unexpectedAnswer(command: String, String)
    /// A line that is not JSON, or not a message of the protocol.
    case malformed(String)
    /// A line longer than the given count of bytes.
    case lineTooLong(limit: Int)
    /// An answer to a command that was never sent.
    case unknownIdentifier(String)
    /// QEMU closed the connection; `unfinished` bytes of a line had come.
    case closed(unfinished: Int)
    /// A command could be sent in part only, or too many commands were given up without an answer.
    case unusable(String)
    /// More events came than are kept, and some of those that were asked for may be among the dropped ones.
    case eventsLost
    /// The socket failed.
    case system(String)

    public var description: String {
        switch self {
        case .refused(let command, let kind, let reason): "QEMU refused \(command): \(kind): \(reason)"
        case .unexpectedAnswer(let command, let what): "an unexpected answer to \(command): \(what)"
        case .malformed(let what): "not a message of the monitor's protocol: \(what)"
        case .lineTooLong(let limit): "a line of more than \(limit) bytes"
        case .unknownIdentifier(let id): "an answer to a command that was not sent: \(id)"
        case .closed(let unfinished): "QEMU closed the connection, \(unfinished) bytes into a line"
        case .unusable(let why): "the connection cannot be used any more: \(why)"
        case .eventsLost: "more events came than are kept"
        case .system(let what): what
        }
    }

    /// As an error for users.
    var sandboxError: SandboxError {
        let message =
            switch self {
            case .refused(let command, _, _): "QEMU refused the command \(command)."
            case .closed: "QEMU's monitor closed the connection."
            default: "QEMU's monitor does not answer as it should."
            }
        return SandboxError(.driverFailed, message, cause: self)
    }
}

extension SandboxError {
    /// What went wrong on the monitor's connection, if that is what this error comes from.
    public var monitorError: QMPError? { cause as? QMPError }
}

internal import SandboxModel
internal import Wire

/// What a request is about, so that its errors can say so.
enum Subject: Sendable {
    case file([UInt8])
    /// Two paths, as in a move.
    case files([UInt8], [UInt8])
    case process(UInt32)
    case command(ProcessStart)
    case port(UInt16)
    case service(String)
    case system(String)

    /// The error of a request that the guest refused or broke off.
    func error(for status: WireStatus) -> SandboxError {
        switch status.code {
        case .ok: return SandboxError(.guestFailed, "The sandbox's init ended \(name) without a result.", cause: status)
        case .invalid: return make(.notApplicable, "This is not possible with \(name).", status)
        case .notFound: return notFound(status)
        case .exists:
            return make(
                .fileExists, "\(capitalName) exists already.", status, hint: "Remove it first, or allow overwriting.")
        case .permission: return make(.permissionDenied, "The sandbox's system denies access to \(name).", status)
        case .notDirectory:
            return make(.notADirectory, "\(capitalName) is not a directory, or a part of its path is not.", status)
        case .isDirectory:
            return make(.isADirectory, "\(capitalName) is a directory.", status)
        case .notEmpty:
            return make(.directoryNotEmpty, "\(capitalName) is not empty.", status, hint: "Remove it recursively.")
        case .noSpace:
            return make(
                .noSpace, "The sandbox's disk is full.", status, hint: "Remove files in it, or raise its disk limit.")
        case .tooLarge: return make(.bodyTooLarge, "\(capitalName) is too large.", status)
        case .cannotExecute:
            return make(
                .cannotExecute, "\(capitalName) cannot be executed.", status,
                hint: "Look whether the file exists in the sandbox, is executable, and is in its PATH.")
        case .noSuchUser: return noSuchUser(status)
        case .refused:
            return make(.connectionRefused, "Nothing accepts a connection to \(name).", status, hint: refusedHint)
        case .exited: return make(.processExited, "\(capitalName) has exited.", status)
        case .behind:
            return make(
                .outputLost, "The reader of \(name) was too slow, and output was skipped.", status,
                hint: "Attach again at an offset that is still retained.")
        case .unsupported: return make(.unsupported, "The sandbox does not support this for \(name).", status)
        case .cancelled: return make(.cancelled, "The sandbox ended \(name) early.", status)
        case .failed where status.errno == Self.tryAgain:
            guard case .command = self else { fallthrough }
            return make(
                .pidsExhausted, "The sandbox can start no more processes.", status,
                hint: "End some of them, or create a sandbox with a higher limits.pids.")
        case .failed: return make(.guestFailed, "The sandbox's init failed at \(name).", status)
        }
    }

    /// Linux's `EAGAIN`.
    private static let tryAgain: Int32 = 11

    private func notFound(_ status: WireStatus) -> SandboxError {
        switch self {
        case .process:
            return make(
                .processNotFound, "\(capitalName) is not known.", status,
                hint: "Only the latest 1,024 processes that have exited are remembered.")
        case .file, .files: return make(.fileNotFound, "\(capitalName) does not exist.", status)
        case .command(let start):
            let directory = start.directory.isEmpty ? "the user's home" : Self.text(Array(start.directory.utf8))
            return make(.fileNotFound, "The working directory \(directory) does not exist.", status)
        case .port, .service, .system: return make(.guestFailed, "The sandbox does not know \(name).", status)
        }
    }

    private func noSuchUser(_ status: WireStatus) -> SandboxError {
        let hint = "Name a user of the sandbox's /etc/passwd, or a numeric uid or uid:gid."
        if case .command(let start) = self {
            return make(
                .noSuchUser, "There is no user \(Self.text(Array(start.user.utf8))) in the sandbox.", status, hint: hint
            )
        }
        return make(.noSuchUser, "There is no such user or group in the sandbox.", status, hint: hint)
    }

    private var refusedHint: String? {
        guard case .port = self else { return nil }
        return "Look whether the service in the sandbox runs and listens on the loopback address."
    }

    /// The guest's own words help the user, but they are the guest's: short, and without control characters.
    private func make(
        _ code: SandboxError.Code, _ message: String, _ status: WireStatus, hint: String? = nil
    ) -> SandboxError {
        let detail = Self.text(Array(status.message.utf8.prefix(200)), limit: 200)
        let text = detail.isEmpty ? message : "\(message.dropLast()): \(detail)"
        return SandboxError(code, text, hint: hint, cause: status)
    }

    private var name: String {
        switch self {
        case .file(let path): Self.text(path)
        case .files(let from, let to): "\(Self.text(from)) (or \(Self.text(to)))"
        case .process(let id): "process \(id)"
        case .command(let start): Self.text(Array((start.arguments.first ?? "").utf8))
        case .port(let port): "port \(port) of the sandbox"
        case .service(let name): "the service \(name)"
        case .system(let what): what
        }
    }

    private var capitalName: String {
        let name = name
        switch self {
        case .file, .files, .command: return name
        default: return name.prefix(1).uppercased() + name.dropFirst()
        }
    }

    /// Bytes as text that is safe to show: invalid UTF-8 repaired, control characters replaced, long ones cut.
    static func text(_ bytes: [UInt8], limit: Int = 300) -> String {
        let cut = bytes.count > limit
        var text = String(String.UnicodeScalarView())
        for scalar in String(decoding: bytes.prefix(limit), as: UTF8.self).unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            text.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
        }
        return cut ? text + "…" : text
    }
}

/// How each error code looks to each kind of caller. A test holds every code to a row.
public struct ErrorRow: Sendable, Hashable {
    public var code: SandboxError.Code
    public var httpStatus: Int
    /// Whether the same request may succeed later without a change.
    public var retryable: Bool
    /// Exit code of the command-line client (`sysexits.h`); a command's own exit code is passed through instead.
    public var exitCode: Int32
}

extension SandboxError.Code {
    /// Every code that this version can send.
    public static let table: [ErrorRow] = [
        ErrorRow(code: .invalidRequest, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .invalidJSON, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .unknownField, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .invalidName, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .invalidPath, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .invalidCursor, httpStatus: 400, retryable: false, exitCode: 64),
        ErrorRow(code: .bodyTooLarge, httpStatus: 413, retryable: false, exitCode: 64),
        ErrorRow(code: .unsupportedMediaType, httpStatus: 415, retryable: false, exitCode: 64),
        ErrorRow(code: .methodNotAllowed, httpStatus: 405, retryable: false, exitCode: 64),
        ErrorRow(code: .unauthorized, httpStatus: 401, retryable: false, exitCode: 77),
        ErrorRow(code: .forbidden, httpStatus: 403, retryable: false, exitCode: 77),
        ErrorRow(code: .rateLimited, httpStatus: 429, retryable: true, exitCode: 75),
        ErrorRow(code: .requestTimeout, httpStatus: 408, retryable: true, exitCode: 75),
        ErrorRow(code: .upgradeRequired, httpStatus: 426, retryable: false, exitCode: 64),
        ErrorRow(code: .routeNotFound, httpStatus: 404, retryable: false, exitCode: 64),
        ErrorRow(code: .sandboxNotFound, httpStatus: 404, retryable: false, exitCode: 66),
        ErrorRow(code: .templateNotFound, httpStatus: 404, retryable: false, exitCode: 66),
        ErrorRow(code: .processNotFound, httpStatus: 404, retryable: false, exitCode: 66),
        ErrorRow(code: .keyNotFound, httpStatus: 404, retryable: false, exitCode: 66),
        ErrorRow(code: .fileNotFound, httpStatus: 404, retryable: false, exitCode: 66),
        ErrorRow(code: .nameTaken, httpStatus: 409, retryable: false, exitCode: 73),
        ErrorRow(code: .invalidState, httpStatus: 409, retryable: false, exitCode: 69),
        ErrorRow(code: .idempotencyConflict, httpStatus: 409, retryable: false, exitCode: 64),
        ErrorRow(code: .processExited, httpStatus: 409, retryable: false, exitCode: 69),
        ErrorRow(code: .fileExists, httpStatus: 409, retryable: false, exitCode: 73),
        ErrorRow(code: .notApplicable, httpStatus: 409, retryable: false, exitCode: 65),
        ErrorRow(code: .notADirectory, httpStatus: 409, retryable: false, exitCode: 66),
        ErrorRow(code: .isADirectory, httpStatus: 409, retryable: false, exitCode: 66),
        ErrorRow(code: .directoryNotEmpty, httpStatus: 409, retryable: false, exitCode: 73),
        ErrorRow(code: .permissionDenied, httpStatus: 403, retryable: false, exitCode: 77),
        ErrorRow(code: .rangeNotSatisfiable, httpStatus: 416, retryable: false, exitCode: 64),
        ErrorRow(code: .checkpointBlocked, httpStatus: 409, retryable: true, exitCode: 69),
        ErrorRow(code: .unsupported, httpStatus: 422, retryable: false, exitCode: 69),
        ErrorRow(code: .cannotExecute, httpStatus: 422, retryable: false, exitCode: 127),
        ErrorRow(code: .noSuchUser, httpStatus: 422, retryable: false, exitCode: 67),
        ErrorRow(code: .connectionRefused, httpStatus: 502, retryable: true, exitCode: 69),
        ErrorRow(code: .outputLost, httpStatus: 410, retryable: false, exitCode: 69),
        ErrorRow(code: .noSpace, httpStatus: 507, retryable: true, exitCode: 74),
        ErrorRow(code: .pidsExhausted, httpStatus: 409, retryable: true, exitCode: 75),
        ErrorRow(code: .oomKilled, httpStatus: 500, retryable: false, exitCode: 70),
        ErrorRow(code: .unavailable, httpStatus: 503, retryable: true, exitCode: 69),
        ErrorRow(code: .overloaded, httpStatus: 503, retryable: true, exitCode: 75),
        ErrorRow(code: .deadlineExceeded, httpStatus: 504, retryable: true, exitCode: 75),
        ErrorRow(code: .cancelled, httpStatus: 499, retryable: true, exitCode: 75),
        ErrorRow(code: .driverFailed, httpStatus: 500, retryable: true, exitCode: 70),
        ErrorRow(code: .guestFailed, httpStatus: 500, retryable: true, exitCode: 70),
        ErrorRow(code: .memoryLost, httpStatus: 500, retryable: false, exitCode: 70),
        ErrorRow(code: .storeFailed, httpStatus: 500, retryable: true, exitCode: 70),
        ErrorRow(code: .internalError, httpStatus: 500, retryable: false, exitCode: 70),
    ]

    private static let rows: [String: ErrorRow] = Dictionary(
        table.map { ($0.code.rawValue, $0) }, uniquingKeysWith: { first, _ in first })

    /// This code's row; a code that this version does not know is treated as an internal error.
    public var row: ErrorRow {
        Self.rows[rawValue] ?? ErrorRow(code: self, httpStatus: 500, retryable: false, exitCode: 70)
    }
}

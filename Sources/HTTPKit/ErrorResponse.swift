internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
public import SandboxModel

/// How errors look to HTTP clients.
public enum ErrorResponse {
    /// The resource of an error, as it is also sent inside SSE and WebSocket streams.
    public static func resource(for error: SandboxError, requestID: String) -> ErrorResource {
        ErrorResource(
            error: .init(
                code: error.code, message: error.message, hint: error.hint, retryable: error.code.row.retryable,
                requestID: requestID))
    }

    static func response(for error: SandboxError, requestID: String, headers extra: HTTPFields = [:]) -> Response {
        let row = error.code.row
        let body =
            (try? JSONOutput.buffer(resource(for: error, requestID: requestID)))
            ?? ByteBuffer(string: #"{"error":{"code":"internal_error"}}"#)
        var headers = extra
        headers[.contentType] = "application/json"
        headers[.requestID] = requestID
        // A bucket fills by at least one a second.
        if row.httpStatus == 503 || row.httpStatus == 429 { headers[.retryAfter] = "1" }
        if row.httpStatus == 401 { headers[.wwwAuthenticate] = "Bearer" }
        return Response(status: .init(code: row.httpStatus), headers: headers, body: .init(byteBuffer: body))
    }

    /// Whether it is about a request that could not be read to the end of its head.
    static func isUnreadable(_ error: any Error) -> Bool {
        error is HTTPParserError || error is HTTP1TypeConversionError || error is AmbiguousRequest
    }

    /// The answer to what the HTTP parser gave up on.
    static func response(toUnreadable error: any Error) -> Response {
        let isTooLarge = (error as? HTTPParserError) == .headerOverflow
        let problem = (error as? AmbiguousRequest).map { ": \($0.problem)" } ?? ""
        let refusal = SandboxError(
            .invalidRequest,
            isTooLarge ? "The request's header is too large." : "The request is not valid HTTP\(problem).")
        var response = response(for: refusal, requestID: "req_" + randomToken(20))
        if isTooLarge { response.status = .requestHeaderFieldsTooLarge }
        return response
    }

    /// Turns anything that a handler may throw into the one error type.
    public static func sandboxError(from error: any Error) -> SandboxError {
        switch error {
        case let error as SandboxError: error
        case is SlowRequest:
            SandboxError(.requestTimeout, "The request's body did not come in time.", hint: "send it faster")
        case is CancellationError: SandboxError(.cancelled, "The request was cancelled.", cause: error)
        case let error as HTTPParserError:
            SandboxError(.invalidRequest, "The request is not valid HTTP.", cause: error)
        case let error as any HTTPResponseError:
            switch error.status.code {
            case 404: SandboxError(.routeNotFound, "There is nothing at this path.", hint: "see /v1/openapi.yaml")
            case 413: SandboxError(.bodyTooLarge, "The body is too large.")
            case 415: SandboxError(.unsupportedMediaType, "The content type is not supported.")
            case 400..<500: SandboxError(.invalidRequest, "The request is not valid.", cause: error)
            default: SandboxError(.internalError, "Something went wrong in the server.", cause: error)
            }
        default: SandboxError(.internalError, "Something went wrong in the server.", cause: error)
        }
    }
}

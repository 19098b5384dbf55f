internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime

/// Reads how long a request is ready to wait for room on the node: `X-Nightjar-Wait: SECONDS`.
struct AdmissionWaitMiddleware: RouterMiddleware {
    typealias Context = APIContext

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let text = request.headers[.nightjarWait] else { return try await next(request, context) }
        guard let seconds = Double(text), (0...3600).contains(seconds) else {
            throw SandboxError(.invalidRequest, "X-Nightjar-Wait must be a number of seconds between 0 and 3600.")
        }
        return try await AdmissionWait.$limit.withValue(.seconds(seconds)) { try await next(request, context) }
    }
}

extension HTTPField.Name {
    static let nightjarWait = header("X-Nightjar-Wait")
}

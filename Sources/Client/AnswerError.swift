internal import FoundationEssentials
public import SandboxModel

/// What is known of an answer that was an error; the cause of the ``SandboxError`` that the client throws for it.
public struct AnswerError: Error, Sendable, Hashable {
    public var status: Int
    public var requestID: String?
    /// As the server said it; if it did not, what the code's row says.
    public var retryable: Bool
}

extension AnswerError {
    /// The error that the body of an answer tells of, or one made from the status if it tells of none.
    static func decode(status: Int, requestID: String?, body: [UInt8]) -> SandboxError {
        if let resource = try? JSONDecoder().decode(ErrorResource.self, from: Data(body)) {
            let error = resource.error
            let cause = AnswerError(status: status, requestID: error.requestID, retryable: error.retryable)
            return SandboxError(error.code, error.message, hint: error.hint, cause: cause)
        }
        let cause = AnswerError(status: status, requestID: requestID, retryable: status == 503)
        return SandboxError(
            .internalError, "The server answered with status \(status) and without an explanation.",
            hint: "is it a Nightjar server?", cause: cause)
    }
}

extension SandboxError {
    /// The answer that this error came from, if it came from an answer.
    public var answer: AnswerError? { cause as? AnswerError }
}

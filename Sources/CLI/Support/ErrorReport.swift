internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

/// The reader of our output went away.
struct OutputClosed: Error {}

/// Tells of an error on standard error, and chooses the exit code.
enum ErrorReport {
    static func exitCode(reporting error: any Error, format: OutputFormat) -> Int32 {
        if let error = error as? SandboxError {
            write(text(of: error, format: format))
            return error.code.row.exitCode
        }
        if let code = error as? ExitCode { return code.rawValue }
        if error is OutputClosed { return 128 + 13 }
        if error is CancellationError { return 128 + 2 }
        let message = NightjarCommand.fullMessage(for: error)
        let code = NightjarCommand.exitCode(for: error).rawValue
        if code == 0 {
            FileHandle.standardOutput.write(Data((message + "\n").utf8))
        } else if !message.isEmpty {
            write(message)
        }
        return code
    }

    static func text(of error: SandboxError, format: OutputFormat) -> String {
        let answer = error.answer
        if format == .json {
            let body = ErrorResource.Body(
                code: error.code, message: error.message, hint: error.hint,
                retryable: answer?.retryable ?? error.code.row.retryable, requestID: answer?.requestID ?? "")
            return (try? Output.json(ErrorResource(error: body))) ?? error.message
        }
        var lines = ["\(Style.red.apply("error:", Style.onStandardError)) \(error.message)"]
        if let hint = error.hint { lines.append("hint: \(hint)") }
        if let answer, answer.status >= 500, let id = answer.requestID { lines.append("request id: \(id)") }
        return lines.joined(separator: "\n")
    }

    /// A line on standard error.
    static func write(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}

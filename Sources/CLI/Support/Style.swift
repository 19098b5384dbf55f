internal import Foundation

/// How text is emphasised, where there is somebody to see it.
enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"

    /// Colours are for terminals, and for those who did not refuse them (`NO_COLOR`, `TERM=dumb`).
    static func isWanted(onTerminal: Bool, environment: [String: String]) -> Bool {
        onTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    static let onStandardOutput = isWanted(
        onTerminal: TerminalMode.standardOutputIsTerminal, environment: ProcessInfo.processInfo.environment)
    static let onStandardError = isWanted(
        onTerminal: TerminalMode.standardErrorIsTerminal, environment: ProcessInfo.processInfo.environment)

    /// The text, emphasised if `isShown`.
    func apply(_ text: String, _ isShown: Bool) -> String {
        isShown ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}

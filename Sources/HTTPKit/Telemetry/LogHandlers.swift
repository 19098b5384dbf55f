public import Logging
internal import SandboxModel
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// How log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
    /// `TIME LEVEL LABEL MESSAGE key=value …`
    case text
    /// One JSON object a line.
    case json
}

/// Makes log lines, and gives them to whoever writes them.
public struct LineLogHandler: LogHandler {
    private let label: String
    private let format: LogFormat
    private let write: @Sendable ([UInt8]) -> Void
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]

    /// - Parameter write: Takes a line, with its end. It must not block: it is called on whatever thread logs.
    public init(
        label: String, format: LogFormat, level: Logger.Level, write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.label = label
        self.format = format
        self.write = write
        logLevel = level
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata
        if let own = event.metadata { all.merge(own) { $1 } }
        write(
            Array(
                Self.line(
                    at: Self.now(), level: event.level, label: label, message: event.message.description, all, format
                ).utf8))
    }

    /// The line that says that lines were lost, because they came faster than they could be written.
    public static func confession(lost: Int, format: LogFormat) -> [UInt8] {
        Array(
            line(
                at: now(), level: .warning, label: "nightjar", message: "Log lines were lost", ["lines": "\(lost)"],
                format
            ).utf8)
    }

    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(unixNanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func line(
        at time: Timestamp, level: Logger.Level, label: String, message: String, _ metadata: Logger.Metadata,
        _ format: LogFormat
    ) -> String {
        let pairs = metadata.sorted { $0.key < $1.key }
        switch format {
        case .text:
            let rest = pairs.map { " \(quoted($0.key))=\(quoted($0.value.description))" }.joined()
            let head = "\(time) \(level.rawValue.uppercased()) \(label) "
            return head + message.map { $0.isNewline ? "\\n" : String($0) }.joined() + rest + "\n"
        case .json:
            var fields = [
                ("time", time.description), ("level", level.rawValue), ("logger", label), ("message", message),
            ]
            let taken = Set(fields.map(\.0))
            fields += pairs.map { (taken.contains($0.key) ? "_" + $0.key : $0.key, $0.value.description) }
            return "{" + fields.map { "\(json($0.0)):\(json($0.1))" }.joined(separator: ",") + "}\n"
        }
    }

    /// As it is, if it can be read back without quotation marks.
    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x7F }
        return isPlain ? text : json(text)
    }

    private static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

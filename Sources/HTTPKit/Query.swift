public import Hummingbird
internal import HummingbirdCore
public import SandboxModel

/// The query of a request: unknown and repeated parameters are errors, values are raw bytes until they are asked for.
public struct Query: Sendable {
    private let values: [String: [[UInt8]]]

    /// - Parameters:
    ///   - known: The parameters that the route has; another one is refused.
    ///   - repeatable: Those that may occur more than once.
    public init(_ request: Request, known: Set<String>, repeatable: Set<String> = []) throws(SandboxError) {
        try self.init(text: request.uri.query ?? "", known: known, repeatable: repeatable)
    }

    init(text: String, known: Set<String>, repeatable: Set<String>) throws(SandboxError) {
        var values: [String: [[UInt8]]] = [:]
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(decoding: try PercentCoding.decode(pair[0], plusIsSpace: true), as: UTF8.self)
            guard known.contains(key) else {
                throw SandboxError(
                    .unknownField, "The query parameter '\(key)' is not known.",
                    hint: known.isEmpty ? nil : "known here: " + known.sorted().joined(separator: ", "))
            }
            guard values[key] == nil || repeatable.contains(key) else {
                throw SandboxError(.invalidRequest, "The query parameter '\(key)' occurs twice.")
            }
            // A '+' in a path is a plus: values are percent-encoded, not form-encoded.
            values[key, default: []].append(
                pair.count == 2 ? try PercentCoding.decode(pair[1], plusIsSpace: false) : [])
        }
        self.values = values
    }

    public func bytes(_ key: String) -> [UInt8]? { values[key]?.first }

    public func text(_ key: String) throws(SandboxError) -> String? {
        guard let bytes = values[key]?.first else { return nil }
        return try Self.text(bytes, key)
    }

    public func texts(_ key: String) throws(SandboxError) -> [String] {
        var texts: [String] = []
        for bytes in values[key] ?? [] { texts.append(try Self.text(bytes, key)) }
        return texts
    }

    private static func text(_ bytes: [UInt8], _ key: String) throws(SandboxError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SandboxError(.invalidRequest, "The query parameter '\(key)' is not UTF-8.")
        }
        return text
    }

    /// `true`, `false`, `1` or `0`; a parameter without a value is `true`.
    public func flag(_ key: String) throws(SandboxError) -> Bool? {
        switch try text(key) {
        case nil: return nil
        case "true", "1", "": return true
        case "false", "0": return false
        default: throw SandboxError(.invalidRequest, "The query parameter '\(key)' must be true or false.")
        }
    }

    public func integer(_ key: String, in range: ClosedRange<Int64>) throws(SandboxError) -> Int64? {
        guard let text = try text(key) else { return nil }
        guard let number = Int64(text), !text.hasPrefix("+"), range.contains(number) else {
            throw SandboxError(
                .invalidRequest,
                "The query parameter '\(key)' must be a whole number between \(range.lowerBound) and \(range.upperBound)."
            )
        }
        return number
    }

    /// The largest whole number that every JSON reader keeps exact; offsets and sequence numbers stay below.
    public static let largestInteger: Int64 = 1 << 53 - 1

    public func number(_ key: String, in range: ClosedRange<Double>) throws(SandboxError) -> Double? {
        guard let text = try text(key) else { return nil }
        // Swift also reads hexadecimal numbers and names such as `nan`.
        let isDecimal = text.utf8.allSatisfy { byte in "0123456789.+-eE".utf8.contains(byte) } && !text.hasPrefix("+")
        guard isDecimal, let number = Double(text), range.contains(number) else {
            throw SandboxError(
                .invalidRequest,
                "The query parameter '\(key)' must be a number between \(range.lowerBound) and \(range.upperBound).")
        }
        return number
    }
}

/// Percent-encoding of RFC 3986, over bytes.
public enum PercentCoding {
    /// - Throws: ``SandboxError`` with `invalid_request` for a `%` without two hexadecimal digits.
    public static func decode(_ text: some StringProtocol, plusIsSpace: Bool) throws(SandboxError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = bytes.next().flatMap(digit), let low = bytes.next().flatMap(digit) else {
                    throw SandboxError(.invalidRequest, "The URL has a '%' without two hexadecimal digits.")
                }
                result.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: result.append(UInt8(ascii: " "))
            default: result.append(byte)
            }
        }
        return result
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map(UInt8.init)
    }
}

internal import SandboxModel

/// Reads RFC 8259 strictly: no comments, no trailing commas, no duplicate keys, no lone surrogates, and at most
/// ``maximumDepth`` levels, so that no document can exhaust the stack.
struct JSONParser {
    static let maximumDepth = 32

    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0

    /// - Throws: ``SandboxError`` with `invalid_json` that names line and column.
    static func parse(_ bytes: [UInt8]) throws(SandboxError) -> JSONValue {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw SandboxError(.invalidJSON, "The body is not valid JSON: it is not UTF-8.")
        }
        var parser = JSONParser(bytes: bytes)
        parser.skipSpace()
        guard parser.index < bytes.count else {
            throw SandboxError(.invalidJSON, "The body is empty.", hint: "send a JSON object")
        }
        let value = try parser.value()
        parser.skipSpace()
        guard parser.index == bytes.count else {
            throw parser.failure("there is something after the end of the document")
        }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func failure(_ what: String, at position: Int? = nil) -> SandboxError {
        let position = min(position ?? index, bytes.count)
        let before = bytes[..<position]
        let line = before.count(where: { $0 == 0x0A }) + 1
        let column = position - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return SandboxError(.invalidJSON, "The body is not valid JSON: \(what) (line \(line), column \(column)).")
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func value() throws(SandboxError) -> JSONValue {
        switch current {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case let byte? where byte == 0x2D || (0x30...0x39).contains(byte): return .number(try number())
        case nil: throw failure("it ends too early")
        default: throw failure("a value was expected")
        }
    }

    private mutating func literal(_ text: String, _ value: JSONValue) throws(SandboxError) -> JSONValue {
        let end = index + text.utf8.count
        guard end <= bytes.count, bytes[index..<end].elementsEqual(text.utf8) else {
            throw failure("a value was expected")
        }
        index = end
        return value
    }

    private mutating func enter() throws(SandboxError) {
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw failure("it is nested more than \(Self.maximumDepth) levels deep")
        }
        index += 1
        skipSpace()
    }

    private mutating func object() throws(SandboxError) -> JSONObject {
        try enter()
        defer { depth -= 1 }
        var object = JSONObject()
        if current == UInt8(ascii: "}") {
            index += 1
            return object
        }
        while true {
            let start = index
            guard current == UInt8(ascii: "\"") else { throw failure("a key in quotation marks was expected") }
            let key = try string()
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw failure("':' was expected") }
            index += 1
            skipSpace()
            guard object.insert(try value(), for: key) else {
                throw failure("the key \"\(key)\" occurs twice", at: start)
            }
            guard try goesOn(until: UInt8(ascii: "}")) else { return object }
        }
    }

    private mutating func array() throws(SandboxError) -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        var items: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            index += 1
            return items
        }
        while true {
            items.append(try value())
            guard try goesOn(until: UInt8(ascii: "]")) else { return items }
        }
    }

    /// Whether a comma follows; otherwise the closing bracket must.
    private mutating func goesOn(until end: UInt8) throws(SandboxError) -> Bool {
        skipSpace()
        guard let byte = current else { throw failure("it ends too early") }
        guard byte == UInt8(ascii: ",") || byte == end else {
            throw failure("',' or '\(Character(UnicodeScalar(end)))' was expected")
        }
        index += 1
        skipSpace()
        return byte != end
    }

    private mutating func number() throws(SandboxError) -> String {
        let start = index
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
        if current == UInt8(ascii: "-") { index += 1 }
        guard isDigit(current) else { throw failure("a digit was expected") }
        if current == UInt8(ascii: "0") {
            index += 1
            guard !isDigit(current) else { throw failure("a number must not begin with 0") }
        }
        while isDigit(current) { index += 1 }
        if current == UInt8(ascii: ".") {
            index += 1
            guard isDigit(current) else { throw failure("a digit was expected") }
            while isDigit(current) { index += 1 }
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            index += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { index += 1 }
            guard isDigit(current) else { throw failure("a digit was expected") }
            while isDigit(current) { index += 1 }
        }
        guard index - start <= 64 else { throw failure("a number has more than 64 characters", at: start) }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func string() throws(SandboxError) -> String {
        index += 1
        var result: [UInt8] = []
        var start = index
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                result += bytes[start..<index]
                index += 1
                return String(decoding: result, as: UTF8.self)
            case UInt8(ascii: "\\"):
                result += bytes[start..<index]
                index += 1
                result += Array(String(try escape()).utf8)
                start = index
            case ..<0x20: throw failure("a control character in a string must be escaped")
            default: index += 1
            }
        }
        throw failure("a string has no end")
    }

    private mutating func escape() throws(SandboxError) -> Unicode.Scalar {
        guard let byte = current else { throw failure("a string has no end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw failure("an escape in a string is not valid", at: index - 1)
        }
    }

    private mutating func unicodeEscape() throws(SandboxError) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xD800...0xDBFF).contains(first), current == UInt8(ascii: "\\"), index + 1 < bytes.count,
            bytes[index + 1] == UInt8(ascii: "u")
        else { throw failure("half of a surrogate pair stands alone") }
        index += 2
        let second = try hexadecimal()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw failure("half of a surrogate pair stands alone") }
        return scalar
    }

    private mutating func hexadecimal() throws(SandboxError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
                throw failure("four hexadecimal digits were expected")
            }
            value = value << 4 + UInt32(digit)
            index += 1
        }
        return value
    }
}

/// Builds the request target of a call: a path of segments and a query.
struct Target {
    private var text = "/v1"
    private var hasQuery = false

    /// Starts with `/v1` and appends each segment, percent-encoded.
    init(_ segments: String...) {
        for segment in segments { append(segment: segment) }
    }

    mutating func append(segment: String) {
        text += "/"
        // "." and ".." would be taken for steps by whoever normalizes the path.
        if segment.utf8.allSatisfy({ $0 == UInt8(ascii: ".") }) {
            text += String(repeating: "%2E", count: segment.utf8.count)
        } else {
            encode(segment.utf8)
        }
    }

    mutating func query(_ name: String, _ value: some Sequence<UInt8>) {
        text += (hasQuery ? "&" : "?") + name + "="
        hasQuery = true
        encode(value)
    }

    mutating func query(_ name: String, _ value: String?) {
        if let value { query(name, value.utf8) }
    }

    mutating func query(_ name: String, _ value: (some BinaryInteger)?) {
        if let value { query(name, "\(value)".utf8) }
    }

    mutating func query(_ name: String, _ value: Bool) { query(name, (value ? "true" : "false").utf8) }

    var string: String { text }

    private mutating func encode(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if Self.isPlain(byte) {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + Self.hex(byte >> 4) + Self.hex(byte & 15)
            }
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    private static func hex(_ nibble: UInt8) -> String { String(nibble, radix: 16, uppercase: true) }
}

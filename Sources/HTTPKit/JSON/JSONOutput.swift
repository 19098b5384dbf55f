internal import FoundationEssentials
public import NIOCore

/// Encodes resources for answers: keys sorted, absent values left out, slashes not escaped.
public enum JSONOutput {
    /// - Throws: Only if a value holds a number that JSON cannot express.
    public static func bytes(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    /// As ``bytes(_:)``, with a line feed at the end.
    public static func buffer(_ value: some Encodable) throws -> ByteBuffer {
        var buffer = ByteBuffer(bytes: try bytes(value))
        buffer.writeInteger(UInt8(ascii: "\n"))
        return buffer
    }

    public static func string(_ value: some Encodable) throws -> String {
        String(decoding: try bytes(value), as: UTF8.self)
    }
}

/// Base64 of the standard alphabet with padding, for bytes in JSON.
public enum Base64 {
    public static func encode(_ bytes: some Sequence<UInt8>) -> String { Data(bytes).base64EncodedString() }
    /// `nil` unless the text is exactly valid.
    public static func decode(_ text: String) -> [UInt8]? { Data(base64Encoded: text).map { Array($0) } }
}

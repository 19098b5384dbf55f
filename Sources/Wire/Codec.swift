/// What can be wrong with received bytes.
public enum WireError: Error, Sendable, Hashable {
    /// A frame with a wrong magic, kind, length, sequence or trailer (the text says which).
    case badFrame(String)
    /// A message that ends early, or names something unknown.
    case badMessage(String)

    /// What is wrong, as a clause for a message.
    public var reason: String {
        switch self {
        case .badFrame(let part): "a frame has a wrong \(part)"
        case .badMessage(let text): text
        }
    }
}

/// Writes fixed-width little-endian integers and length-prefixed strings.
public struct WireWriter: Sendable {
    public private(set) var bytes: [UInt8]
    public init(bytes: [UInt8] = []) { self.bytes = bytes }

    public mutating func u8(_ value: UInt8) { bytes.append(value) }
    public mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }
    public mutating func u16(_ value: UInt16) { integer(value) }
    public mutating func u32(_ value: UInt32) { integer(value) }
    public mutating func u64(_ value: UInt64) { integer(value) }
    public mutating func i64(_ value: Int64) { integer(UInt64(bitPattern: value)) }
    public mutating func i32(_ value: Int32) { integer(UInt32(bitPattern: value)) }
    public mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }
    public mutating func blob(_ value: [UInt8]) {
        u32(UInt32(value.count))
        raw(value)
    }
    public mutating func string(_ value: String) { blob(Array(value.utf8)) }
    public mutating func strings(_ value: [String]) { list(value) { $0.string($1) } }
    public mutating func list<T>(_ value: [T], _ each: (inout WireWriter, T) -> Void) {
        u32(UInt32(value.count))
        for item in value { each(&self, item) }
    }
    public mutating func optional<T>(_ value: T?, _ some: (inout WireWriter, T) -> Void) {
        bool(value != nil)
        if let value { some(&self, value) }
    }

    private mutating func integer(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Reads what ``WireWriter`` wrote. Every read is bounds-checked; trailing bytes are left for a newer generation.
public struct WireReader: Sendable {
    private let bytes: [UInt8]
    private var position: Int

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
    }

    public var remaining: Int { bytes.count - position }

    public mutating func u8() throws(WireError) -> UInt8 { try integer(UInt8.self) }
    public mutating func bool() throws(WireError) -> Bool { try u8() != 0 }
    public mutating func u16() throws(WireError) -> UInt16 { try integer(UInt16.self) }
    public mutating func u32() throws(WireError) -> UInt32 { try integer(UInt32.self) }
    public mutating func u64() throws(WireError) -> UInt64 { try integer(UInt64.self) }
    public mutating func i64() throws(WireError) -> Int64 { Int64(bitPattern: try u64()) }
    public mutating func i32() throws(WireError) -> Int32 { Int32(bitPattern: try u32()) }

    public mutating func blob() throws(WireError) -> [UInt8] {
        let count = Int(try u32())
        guard count <= remaining else { throw .badMessage("a length is larger than the message") }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    /// Invalid UTF-8 is repaired with U+FFFD; paths that must round-trip travel as ``blob()``.
    public mutating func string() throws(WireError) -> String { String(decoding: try blob(), as: UTF8.self) }

    public mutating func strings() throws(WireError) -> [String] {
        try list(ofAtLeast: 4) { (reader: inout WireReader) throws(WireError) -> String in try reader.string() }
    }

    /// A list of items each of which takes at least `size` bytes (1 or more) in the message.
    ///
    /// A count beyond what remains is a lie and allocates nothing, so that a message is decoded into a small multiple
    /// of its own size, whatever it says.
    public mutating func list<T>(
        ofAtLeast size: Int, _ each: (inout WireReader) throws(WireError) -> T
    ) throws(WireError) -> [T] {
        let count = Int(try u32())
        guard count <= remaining / size else { throw .badMessage("a count is larger than the message") }
        var result: [T] = []
        result.reserveCapacity(count)
        for _ in 0..<count { result.append(try each(&self)) }
        return result
    }

    public mutating func optional<T>(_ some: (inout WireReader) throws(WireError) -> T) throws(WireError) -> T? {
        try bool() ? try some(&self) : nil
    }

    private mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(WireError) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw .badMessage("the message ends early") }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: bytes[position + index]) << (8 * index) }
        position += size
        return value
    }
}

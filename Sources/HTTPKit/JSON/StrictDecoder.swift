public import SandboxModel

/// Decodes JSON bodies of requests: unknown fields, wrong types and numbers out of range are errors that name the path.
public enum StrictJSON {
    /// - Throws: ``SandboxError`` with `invalid_json`, `unknown_field` or `invalid_request`.
    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) throws(SandboxError) -> T {
        let value = try JSONParser.parse(bytes)
        do {
            return try T(from: StrictDecoder(value: value, codingPath: []))
        } catch let error as SandboxError {
            throw error
        } catch DecodingError.keyNotFound(let key, let context) {
            throw SandboxError(.invalidRequest, "The field \(name(of: context.codingPath + [key])) is missing.")
        } catch DecodingError.dataCorrupted(let context) {
            throw SandboxError(.invalidRequest, "The value of \(name(of: context.codingPath)) is not valid.")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            throw SandboxError(.invalidRequest, "The value of \(name(of: context.codingPath)) has the wrong type.")
        } catch {
            throw SandboxError(.invalidRequest, "The body is not valid.", cause: error)
        }
    }

    static func name(of path: [any CodingKey]) -> String {
        var text = ""
        for key in path {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return text.isEmpty ? "the body" : text
    }
}

struct IndexKey: CodingKey {
    let intValue: Int?
    var stringValue: String { "[\(intValue ?? 0)]" }
    init(_ index: Int) { intValue = index }
    init?(intValue: Int) { self.intValue = intValue }
    init?(stringValue: String) { nil }
}

struct StrictDecoder: Decoder {
    let value: JSONValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func mismatch(_ wanted: String) -> SandboxError {
        SandboxError(
            .invalidRequest, "\(StrictJSON.name(of: codingPath).capitalizedFirst) must be \(wanted), not \(value.kind)."
        )
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let object) = value else { throw mismatch("an object") }
        for key in object.keys where Key(stringValue: key) == nil {
            let path = codingPath.isEmpty ? key : "\(StrictJSON.name(of: codingPath)).\(key)"
            throw SandboxError(.unknownField, "The field \(path) is not known.", hint: Self.hint(type))
        }
        return KeyedDecodingContainer(KeyedContainer<Key>(object: object, codingPath: codingPath))
    }

    private static func hint<Key: CodingKey>(_ type: Key.Type) -> String? {
        guard let listed = type as? any CaseIterable.Type else { return nil }
        let names = listed.allCases.compactMap { ($0 as? any CodingKey)?.stringValue }
        return names.isEmpty ? nil : "known here: " + names.joined(separator: ", ")
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let items) = value else { throw mismatch("an array") }
        return UnkeyedContainer(items: items, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { SingleContainer(decoder: self) }

    func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        guard case .number(let text) = value else { throw mismatch("a whole number") }
        // 5.0 and 5e2 are whole numbers too, as far as a double keeps them exact.
        let inexact = Double(text).flatMap { abs($0) <= 0x1p53 ? T(exactly: $0) : nil }
        guard let number = T(text) ?? inexact else {
            let name = StrictJSON.name(of: codingPath).capitalizedFirst
            throw SandboxError(.invalidRequest, "\(name) must be a whole number between \(T.min) and \(T.max).")
        }
        return number
    }

    func double() throws -> Double {
        guard case .number(let text) = value else { throw mismatch("a number") }
        guard let number = Double(text), number.isFinite else {
            throw SandboxError(
                .invalidRequest, "\(StrictJSON.name(of: codingPath).capitalizedFirst) is too large a number.")
        }
        return number
    }
}

extension String {
    var capitalizedFirst: String { self == "the body" ? "The body" : self }
}

private struct SingleContainer: SingleValueDecodingContainer {
    let decoder: StrictDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { if case .null = decoder.value { true } else { false } }
    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let value) = decoder.value else { throw decoder.mismatch("true or false") }
        return value
    }
    func decode(_ type: String.Type) throws -> String {
        guard case .string(let value) = decoder.value else { throw decoder.mismatch("a string") }
        return value
    }
    func decode(_ type: Double.Type) throws -> Double { try decoder.double() }
    func decode(_ type: Float.Type) throws -> Float { Float(try decoder.double()) }
    func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try T(from: decoder) }
}

private struct UnkeyedContainer: UnkeyedDecodingContainer {
    let items: [JSONValue]
    let codingPath: [any CodingKey]
    var currentIndex = 0
    var count: Int? { items.count }
    var isAtEnd: Bool { currentIndex >= items.count }

    init(items: [JSONValue], codingPath: [any CodingKey]) {
        self.items = items
        self.codingPath = codingPath
    }

    private mutating func next() throws -> StrictDecoder {
        guard !isAtEnd else {
            throw SandboxError(
                .invalidRequest, "\(StrictJSON.name(of: codingPath).capitalizedFirst) has too few items.")
        }
        defer { currentIndex += 1 }
        return StrictDecoder(value: items[currentIndex], codingPath: codingPath + [IndexKey(currentIndex)])
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, case .null = items[currentIndex] else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try T(from: try next()) }
    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try next().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
}

private struct KeyedContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let object: JSONObject
    let codingPath: [any CodingKey]
    var allKeys: [Key] { object.keys.compactMap { Key(stringValue: $0) } }

    func contains(_ key: Key) -> Bool { object[key.stringValue] != nil }

    private func nested(_ key: some CodingKey) throws -> StrictDecoder {
        guard let value = object[key.stringValue] else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "missing"))
        }
        return StrictDecoder(value: value, codingPath: codingPath + [key])
    }

    func decodeNil(forKey key: Key) throws -> Bool { if case .null = try nested(key).value { true } else { false } }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try T(from: try nested(key)) }

    // A field is left out or has a value: `null` is a wrong type, unless the type itself asks for it by `decodeNil`.
    private func ifPresent<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
        contains(key) ? try decode(type, forKey: key) : nil
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try ifPresent(type, key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try ifPresent(type, key) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws
        -> KeyedDecodingContainer<Nested>
    {
        try nested(key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try nested(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { StrictDecoder(value: .object(object), codingPath: codingPath) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try nested(key) }
}

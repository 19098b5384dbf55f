/// A sandbox's identifier: `sb_` and 20 random characters of base 32 (100 bits). Never reused.
public struct SandboxID: Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: String

    /// Makes a new one from the system's randomness.
    public init() { rawValue = "sb_" + randomToken(20) }

    /// Accepts only what ``init()`` could have made.
    public init?(_ text: String) {
        let body = text.utf8.dropFirst(3)
        guard text.hasPrefix("sb_"), body.count == 20, body.allSatisfy(tokenAlphabet.contains) else { return nil }
        rawValue = text
    }

    public var description: String { rawValue }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = SandboxID(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a sandbox id"))
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// One incarnation of a sandbox's processes on the host. Every start and every wake makes a new one, so that whoever
/// comes late (a reaper, a kill) never hits the incarnation after the one that was meant.
public struct ExecutionID: Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: String
    public init() { rawValue = "ex_" + randomToken(20) }
    public init?(_ text: String) {
        let body = text.utf8.dropFirst(3)
        guard text.hasPrefix("ex_"), body.count == 20, body.allSatisfy(tokenAlphabet.contains) else { return nil }
        rawValue = text
    }
    public var description: String { rawValue }
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = ExecutionID(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not an execution id"))
        }
        self = id
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

private let tokenAlphabet: [UInt8] = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

/// Random lower-case base-32 characters, 5 bits each, from the system's cryptographic generator.
public func randomToken(_ length: Int) -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<length).map { _ in tokenAlphabet[Int(generator.next() & 31)] }
    return String(decoding: bytes, as: UTF8.self)
}

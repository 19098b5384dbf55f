/// What an ``Identifier`` names.
public protocol IdentifiedKind: Sendable {
    /// Two letters before the underscore.
    static var prefix: String { get }
    /// With its article, for messages.
    static var name: String { get }
}

/// A kind's two letters, `_`, and 20 random characters of base 32 (100 bits). Never reused.
public struct Identifier<Kind: IdentifiedKind>: Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: String

    /// Makes a new one from the system's randomness.
    public init() { rawValue = Kind.prefix + "_" + randomToken(20) }

    /// Accepts only what ``init()`` could have made.
    public init?(_ text: String) {
        let prefix = Kind.prefix + "_"
        let body = text.utf8.dropFirst(prefix.utf8.count)
        guard text.hasPrefix(prefix), body.count == 20, body.allSatisfy(tokenAlphabet.contains) else { return nil }
        rawValue = text
    }

    public var description: String { rawValue }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = Self(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not \(Kind.name) id"))
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// Names sandboxes.
public enum SandboxKind: IdentifiedKind {
    public static let prefix = "sb"
    public static let name = "a sandbox"
}

/// Names incarnations of a sandbox's processes.
public enum ExecutionKind: IdentifiedKind {
    public static let prefix = "ex"
    public static let name = "an execution"
}

/// A sandbox's identifier, such as `sb_` and 20 characters.
public typealias SandboxID = Identifier<SandboxKind>

/// One incarnation of a sandbox's processes on the host. Every start and every wake makes a new one, so that whoever
/// comes late (a reaper, a kill) never hits the incarnation after the one that was meant.
public typealias ExecutionID = Identifier<ExecutionKind>

private let tokenAlphabet: [UInt8] = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

/// Random lower-case base-32 characters, 5 bits each, from the system's cryptographic generator.
public func randomToken(_ length: Int) -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<length).map { _ in tokenAlphabet[Int(generator.next() & 31)] }
    return String(decoding: bytes, as: UTF8.self)
}

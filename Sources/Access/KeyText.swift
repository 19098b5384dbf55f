internal import Crypto
internal import SandboxModel

/// How a key looks: `nj_ID_SECRET` with 12 and 52 characters of lower-case base 32.
///
/// The identifier finds the key's row; it is no secret. The secret has 260 random bits. That is why one round of SHA-256
/// is enough to store it: a slow hash protects passwords that somebody could guess, and nobody can try even a small part
/// of 2^260 keys, fast or slow. A slow hash would only make every request slow, and be a lever for those who flood the
/// server with wrong keys.
enum KeyText {
    static let idLength = 12
    static let secretLength = 52
    /// Longer candidates are refused before they are hashed.
    static let longest = 256

    static func make(id: String) -> String { "nj_\(id)_\(randomToken(secretLength))" }

    /// The identifier in a key of this form; `nil` for any other text.
    static func id(in candidate: [UInt8]) -> String? {
        guard candidate.count == 4 + idLength + secretLength, candidate.starts(with: Array("nj_".utf8)),
            candidate[3 + idLength] == UInt8(ascii: "_")
        else { return nil }
        let id = candidate[3..<(3 + idLength)]
        guard id.allSatisfy(isToken), candidate[(4 + idLength)...].allSatisfy(isToken) else { return nil }
        return String(decoding: id, as: UTF8.self)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "2")...UInt8(ascii: "7")).contains(byte)
    }

    /// Of the whole text, the identifier included.
    static func digest(_ candidate: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: candidate)) }

    /// Looks at every byte, whatever the others were.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}

/// The credentials of an `Authorization` header.
public enum BearerToken {
    /// The token of `Bearer TOKEN`; `nil` if the header is something else, empty or too long to be a key.
    public static func parse(_ header: String?) -> [UInt8]? {
        guard let header, header.utf8.count <= KeyText.longest + 16 else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = Array(parts[1].utf8.drop { $0 == UInt8(ascii: " ") })
        guard (1...KeyText.longest).contains(token.count), token.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        return token
    }
}

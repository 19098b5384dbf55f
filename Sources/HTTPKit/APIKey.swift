internal import Crypto

/// The secret that TCP clients show. Only its digest is kept in memory.
public struct APIKey: Sendable {
    private let digest: [UInt8]

    public init(_ secret: String) { digest = Self.digest(of: secret.utf8) }

    private static func digest(of bytes: some Sequence<UInt8>) -> [UInt8] {
        Array(SHA256.hash(data: Array(bytes)))
    }

    /// Compares in constant time: the digests' bytes, all of them, whatever was sent.
    public func matches(_ candidate: some StringProtocol) -> Bool {
        let other = Self.digest(of: candidate.utf8)
        var difference: UInt8 = 0
        for (left, right) in zip(digest, other) { difference |= left ^ right }
        return difference == 0
    }

    /// Whether an `Authorization` header's value is `Bearer` with this key.
    func matches(authorization value: String?) -> Bool {
        guard let value else { return false }
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return false }
        return matches(parts[1])
    }
}

internal import LinuxSystem

/// Names for contents.
enum ContentHash {
    /// 32 hexadecimal digits that name a content.
    static func name(_ bytes: [UInt8]) -> String {
        Checksum.text(Checksum.of(bytes)) + Checksum.text(Checksum.of(bytes, seed: 0x6E6A))
    }
}

/// An archive with the init in it, as the kernel unpacks it after another one: cpio, format "newc".
enum InitArchive {
    /// - Parameter program: The init.
    /// - Returns: Bytes to put after those of another archive, which fill whole words.
    static func make(_ program: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(program.count + 512)
        append("init", mode: 0o100755, program, to: &bytes)
        append("TRAILER!!!", mode: 0, [], to: &bytes)
        return bytes
    }

    private static func append(_ name: String, mode: UInt32, _ data: [UInt8], to bytes: inout [UInt8]) {
        // Inode, mode, user, group, links, time, size, four device numbers, length of the name, checksum.
        let fields: [UInt32] = [
            1, mode, 0, 0, 1, 0, UInt32(data.count), 0, 0, 0, 0, UInt32(name.utf8.count + 1), 0,
        ]
        bytes += Array("070701".utf8) + fields.flatMap(hexadecimal) + Array(name.utf8) + [0]
        fill(&bytes)
        bytes += data
        fill(&bytes)
    }

    private static func hexadecimal(_ value: UInt32) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return stride(from: 28, through: 0, by: -4).map { digits[Int(value >> UInt32($0) & 15)] }
    }

    private static func fill(_ bytes: inout [UInt8]) {
        while !bytes.count.isMultiple(of: 4) { bytes.append(0) }
    }
}

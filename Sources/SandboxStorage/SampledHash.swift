internal import Glibc
internal import LinuxSystem

/// A file's hash as a checkpoint's manifest of format 1 has it: of the whole file up to 4 MiB; of a larger one the first and last
/// 64 KiB and 64 blocks of 4 KiB spread evenly between them. So it costs the same for gigabytes of memory as for
/// megabytes; a change of a few bytes in between is not noticed. What it is there to notice is a file that is cut,
/// zeroed or another one.
func sampledHash(of path: String, size: Int64) throws -> String {
    let file = try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW)
    var value = UInt64(bitPattern: size)
    var buffer = [UInt8](repeating: 0, count: 4 << 20)
    for piece in samples(of: size) {
        let filled = try fill(&buffer, from: file, piece.offset, piece.length, path)
        value = buffer.withUnsafeBytes {
            Checksum.of(UnsafeRawBufferPointer(rebasing: $0[0..<filled]), seed: value)
        }
    }
    return Checksum.text(value)
}

private func samples(of size: Int64) -> [(offset: Int64, length: Int)] {
    if size <= 4 << 20 { return [(0, Int(size))] }
    let edge: Int64 = 64 * 1024
    let step = (size - 2 * edge) / 64
    return [(0, Int(edge))] + (0..<64).map { (edge + step * Int64($0), 4096) } + [(size - edge, Int(edge))]
}

private func fill(
    _ buffer: inout [UInt8], from file: FileDescriptor, _ offset: Int64, _ length: Int, _ path: String
) throws -> Int {
    var filled = 0
    while filled < length {
        let count = buffer.withUnsafeMutableBytes { raw in
            pread(file.raw, raw.baseAddress?.advanced(by: filled), length - filled, off_t(offset) + off_t(filled))
        }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw Files.failure("read", path) }
        if count == 0 { break }
        filled += count
    }
    return filled
}

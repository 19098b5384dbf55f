internal import CLinux
internal import Glibc

/// XXH64: a fast hash against torn, altered and mixed-up contents. It is no defence against somebody who alters them on
/// purpose and knows what they do.
public enum Checksum {
    /// The hash of `bytes`.
    public static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        nj_checksum(bytes.baseAddress, bytes.count, seed)
    }

    /// The hash of `bytes`.
    public static func of(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 { bytes.withUnsafeBytes { of($0, seed: seed) } }

    /// 16 hexadecimal digits.
    public static func text(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The hash of every byte of a file: of the hashes of its blocks of 1 MiB, with its size. Several threads share the
    /// work, so a file that is in memory takes about as long as copying it with one.
    ///
    /// - Throws: ``SystemError``.
    public static func ofFile(_ path: String) async throws -> UInt64 {
        let file = try await BlockingPool.shared.run { try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW) }
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw SystemError.last("stat", path) }
        let size = Int(status.st_size)
        return ofValues(try await ofBlocks(0..<(size + block - 1) / block, file, path), size: size)
    }

    static let block = 1 << 20
    private static let parallelism = 4

    /// The hash of a file of which those of its blocks are known.
    static func ofValues(_ values: [UInt64], size: Int) -> UInt64 {
        values.map(\.littleEndian).withUnsafeBytes { of($0, seed: UInt64(size)) }
    }

    /// The hashes of some blocks of a file, by several threads.
    static func ofBlocks(_ blocks: Range<Int>, _ file: FileDescriptor, _ path: String) async throws -> [UInt64] {
        let jobs = max(1, min(parallelism, blocks.count / 4))
        let share = (blocks.count + jobs - 1) / jobs
        return try await withThrowingTaskGroup(of: (Int, [UInt64]).self) { group in
            for job in 0..<jobs {
                let first = min(blocks.lowerBound + job * share, blocks.upperBound)
                let part = first..<min(first + share, blocks.upperBound)
                group.addTask { (job, try await BlockingPool.shared.run { try hashes(file, part, path) }) }
            }
            var parts = [[UInt64]](repeating: [], count: jobs)
            for try await (job, values) in group { parts[job] = values }
            return parts.flatMap(\.self)
        }
    }

    /// Blocks the thread.
    static func hashes(
        _ file: FileDescriptor, _ blocks: Range<Int>, _ path: String
    ) throws(SystemError) -> [UInt64] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 64)
        defer { buffer.deallocate() }
        var values: [UInt64] = []
        for index in blocks {
            var filled = 0
            while filled < block {
                let offset = off_t(index) * off_t(block) + off_t(filled)
                let count = pread(file.raw, buffer.baseAddress?.advanced(by: filled), block - filled, offset)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw SystemError.last("read", path) }
                if count == 0 { break }
                filled += count
            }
            values.append(of(UnsafeRawBufferPointer(rebasing: buffer[..<filled]), seed: UInt64(index)))
        }
        return values
    }
}

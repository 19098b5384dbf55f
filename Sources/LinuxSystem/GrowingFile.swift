internal import CLinux
internal import Glibc
internal import Synchronization

/// Follows a file that somebody else appends to: hashes what is there while it is still in the processor's reach, and
/// has the device begin with it, so that little is left to do when the last byte is written.
///
/// Only for files that are written from the beginning to the end and never changed behind their end.
public final class GrowingFile: Sendable {
    private struct State {
        var isComplete = false
        var isAbandoned = false
    }

    /// Blocks that are hashed before the file is looked at again.
    private static let batch = 16
    private static let pause = Duration.milliseconds(1)

    private let file: FileDescriptor
    private let path: String
    private let state = Mutex(State())

    private init(_ file: FileDescriptor, _ path: String) {
        self.file = file
        self.path = path
    }

    /// Runs `body`, which has a file written, and hashes the file meanwhile.
    ///
    /// - Parameters:
    ///   - file: The file, which may be empty yet; this has a descriptor of its own.
    ///   - path: What errors call it.
    /// - Returns: What ``Checksum/ofFile(_:)`` says of the file that `body` left.
    /// - Throws: ``SystemError`` if it cannot be read; what `body` throws.
    public static func checksum(
        _ file: FileDescriptor, _ path: String, while body: () async throws -> Void
    ) async throws -> UInt64 {
        let growing = GrowingFile(try file.duplicate(), path)
        async let followed = growing.follow()
        do {
            try await body()
        } catch {
            growing.state.withLock { $0.isAbandoned = true }
            _ = try? await followed
            throw error
        }
        growing.state.withLock { $0.isComplete = true }
        var values = try await followed
        let size = try growing.size()
        let blocks = (size + Checksum.block - 1) / Checksum.block
        // A last block that was not full when it was looked at is hashed now, with all that came after it.
        values += try await Checksum.ofBlocks(values.count..<blocks, growing.file, path)
        return Checksum.ofValues(values, size: size)
    }

    /// Hashes whole blocks as they come, until the file is complete.
    private func follow() async throws -> [UInt64] {
        var values: [UInt64] = []
        while true {
            let state = state.withLock { $0 }
            if state.isAbandoned { return [] }
            let whole = try size() / Checksum.block
            let range = values.count..<min(whole, values.count + Self.batch)
            if range.isEmpty {
                if state.isComplete { return values }
                await Reactor.shared.shieldedSleep(Self.pause)
                continue
            }
            // The rest of a complete file is for several threads.
            if state.isComplete, whole - values.count > Self.batch { return values }
            let (file, path) = (file, path)
            values += try await BlockingPool.shared.run {
                let length = Int64(range.count * Checksum.block)
                // A hint: what it does not do, the final sync does.
                _ = nj_begin_writing_back(file.raw, Int64(range.lowerBound * Checksum.block), length)
                return try Checksum.hashes(file, range, path)
            }
        }
    }

    private func size() throws(SystemError) -> Int {
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw SystemError.last("stat", path) }
        return Int(status.st_size)
    }
}

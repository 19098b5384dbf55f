import Foundation
import Testing

@testable import LinuxSystem

@Suite struct ChecksumTests {
    @Test func `it is XXH64`() {
        #expect(Checksum.of([]) == 0xEF46_DB37_51D8_E999)
        #expect(Checksum.of(Array("a".utf8)) == 0xD24E_C4F1_A98C_6E5B)
        #expect(Checksum.of(Array("Nobody inspects the spammish repetition".utf8)) == 0xFBCE_A83C_8A37_8BF1)
    }

    @Test(arguments: [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (11 << 20) + 77])
    func `a file's depends on every byte, on their order and on their number`(size: Int) async throws {
        let path = FileManager.default.temporaryDirectory.path + "/checksum-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        func checksum(_ bytes: [UInt8]) async throws -> UInt64 {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            return try await Checksum.ofFile(path)
        }
        var bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let whole = try await checksum(bytes)
        #expect(try await checksum(bytes) == whole)
        #expect(try await checksum(bytes + [0]) != whole)
        guard size > 0 else { return }
        #expect(try await checksum(Array(bytes.dropLast())) != whole)
        bytes[size / 2] ^= 1
        #expect(try await checksum(bytes) != whole)
        bytes[size / 2] ^= 1
        guard size > 2 << 20 else { return }
        // Whole blocks that changed places.
        #expect(
            try await checksum(Array(bytes[(1 << 20)..<(2 << 20)] + bytes[..<(1 << 20)] + bytes[(2 << 20)...])) != whole
        )
    }

    @Test(arguments: [0, 1, 1 << 20, (3 << 20) + 5, 90 << 20])
    func `a file that grows has the checksum of what it became`(size: Int) async throws {
        let path = FileManager.default.temporaryDirectory.path + "/growing-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        let followed = try await GrowingFile.checksum(file, path) {
            var written = 0
            while written < size {
                let piece = (0..<min(700_001, size - written)).map { UInt8(truncatingIfNeeded: (written + $0) / 977) }
                try file.writeAll(piece, path)
                written += piece.count
                if written % 5 == 0 { try await Task.sleep(for: .milliseconds(2)) }
            }
        }
        #expect(try await Checksum.ofFile(path) == followed)
    }

    @Test func `whoever writes a growing file and fails is heard`() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/growing-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        await #expect(throws: CancellationError.self) {
            _ = try await GrowingFile.checksum(file, path) {
                try file.writeAll([1, 2, 3], path)
                throw CancellationError()
            }
        }
    }

    @Test func `a file that is not there is an error`() async {
        await #expect(throws: SystemError.self) { try await Checksum.ofFile("/nonexistent/file") }
    }
}

import CLinux
import Foundation
import LinuxSystem
import SandboxModel
import Testing

@testable import MachineMemory

/// A directory that goes away with its object.
final class Scratch: Sendable {
    let path = "/tmp/njm-\(randomToken(8))"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? TreeRemoval.remove(path) }
}

let page = MemoryDifference.page
let someBase: MemoryBase = {
    guard let base = MemoryBase(Array(1...16)) else { preconditionFailure("16 bytes are a base") }
    return base
}()

@Suite struct MemoryDifferenceTests {
    private typealias Extent = MemoryDifference.Extent

    private func write(_ difference: MemoryDifference, tableAt offset: Int, _ path: String) throws {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try difference.seal(file, tableAt: offset, path)
    }

    private func complaint(_ path: String) throws -> String {
        let error = try #require(throws: SandboxError.self) { try MemoryDifference.read(path) }
        #expect(error.code == .driverFailed)
        return (error.cause as? MemoryComplaint)?.reason ?? "\(error)"
    }

    @Test func `what was written is read, an empty one too`() throws {
        let scratch = try Scratch()
        let difference = MemoryDifference(
            memorySize: 64 * page, base: someBase,
            extents: [
                Extent(memory: 0, length: 2 * page, file: page), Extent(memory: 2 * page, length: page, file: nil),
                Extent(memory: 63 * page, length: page, file: 3 * page),
            ])
        try write(difference, tableAt: 4 * page, scratch.path + "/d")
        #expect(try MemoryDifference.read(scratch.path + "/d") == difference)
        try MemoryDifference.createEmpty(scratch.path + "/e", memorySize: page, base: someBase)
        #expect(try MemoryDifference.read(scratch.path + "/e").extents == [])
        #expect(throws: SandboxError.self) {
            try MemoryDifference.createEmpty(scratch.path + "/e", memorySize: page, base: someBase)
        }
    }

    @Test(arguments: [
        ([Extent(memory: 0, length: 0, file: nil)], "an extent does not consist of pages"),
        ([Extent(memory: 1, length: 4096, file: nil)], "an extent does not consist of pages"),
        ([Extent(memory: 0, length: 100, file: nil)], "an extent does not consist of pages"),
        ([Extent(memory: 0, length: 4096, file: 5000)], "an extent does not consist of pages"),
        (
            [Extent(memory: 0, length: 8192, file: nil), Extent(memory: 4096, length: 4096, file: nil)],
            "its extents overlap or are out of order"
        ),
        (
            [Extent(memory: 8192, length: 4096, file: nil), Extent(memory: 0, length: 4096, file: nil)],
            "its extents overlap or are out of order"
        ),
        ([Extent(memory: 64 * 4096, length: 4096, file: nil)], "an extent is beyond the memory"),
        ([Extent(memory: 0, length: 65 * 4096, file: nil)], "an extent is beyond the memory"),
        ([Extent(memory: Int.max / 4096 * 4096, length: 4096, file: nil)], "an extent is beyond the memory"),
        ([Extent(memory: 4096, length: Int.max / 4096 * 4096, file: nil)], "an extent is beyond the memory"),
        (
            [Extent(memory: 0, length: 8192, file: 4096), Extent(memory: 8192, length: 4096, file: 8192)],
            "the contents of its extents overlap or are out of order"
        ),
        ([Extent(memory: 0, length: 4096, file: 16384)], "the contents of an extent are beyond the file"),
        ([Extent(memory: 0, length: 16384, file: 4096)], "the contents of an extent are beyond the file"),
        (
            [Extent(memory: 0, length: 4096, file: Int.max / 4096 * 4096)],
            "the contents of an extent are beyond the file"
        ),
    ])
    private func `a table that cannot be is refused, by the writer too`(extents: [Extent], reason: String) throws {
        let scratch = try Scratch()
        let difference = MemoryDifference(memorySize: 64 * page, base: someBase, extents: extents)
        let error = #expect(throws: MemoryComplaint.self) {
            try write(difference, tableAt: 4 * page, scratch.path + "/w")
        }
        #expect(error?.reason == reason)
        // With right checksums, as somebody would make it on purpose.
        try forge(scratch.path + "/d", extents) { _ in }
        #expect(try complaint(scratch.path + "/d") == reason)
    }

    private func forge(
        _ path: String, _ extents: [Extent], size: Int? = nil, _ change: (inout nj_memory_header) -> Void
    ) throws {
        let table = extents.map {
            nj_memory_extent(memory: UInt64($0.memory), length: UInt64($0.length), file: UInt64($0.file ?? 0))
        }
        var header = nj_memory_header()
        withUnsafeMutableBytes(of: &header.magic) { $0.copyBytes(from: Array("NJMEMORY".utf8)) }
        header.version = 1
        header.page = 4096
        header.memory_size = UInt64(64 * page)
        header.table_offset = UInt64(4 * page)
        header.extent_count = UInt64(extents.count)
        change(&header)
        table.withUnsafeBufferPointer { table in
            var whole = Array(table)
            // The checksum is over as many as the header says.
            whole += [nj_memory_extent](
                repeating: nj_memory_extent(), count: max(0, min(20_000, Int(header.extent_count)) - table.count))
            header.extent_count = min(header.extent_count, UInt64(whole.count))
            nj_memory_seal(&header, whole)
        }
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try #require(ftruncate(file.raw, off_t(size ?? 4 * page + table.count * 24)) == 0)
        try table.withUnsafeBytes { try writeAll(file, $0, at: 4 * page, path) }
        try withUnsafeBytes(of: header) { try writeAll(file, $0, at: 0, path) }
    }

    @Test func `a header that cannot be is refused`() throws {
        let scratch = try Scratch()
        let one = [Extent(memory: 0, length: page, file: page)]
        let cases: [(String, (inout nj_memory_header) -> Void)] = [
            ("it is no memory difference", { $0.magic.0 = 0 }),
            ("its format is of another version", { $0.version = 2 }),
            ("its pages are of another size", { $0.page = 16384 }),
            ("its memory size is not possible", { $0.memory_size = 0 }),
            ("its memory size is not possible", { $0.memory_size = 4097 }),
            ("its memory size is not possible", { $0.memory_size = 1 << 62 }),
            ("it has too many extents", { $0.extent_count = 16_001 }),
            ("its table is not where it can be", { $0.table_offset = 0 }),
            ("its table is not where it can be", { $0.table_offset = 4097 }),
            ("its table is not where it can be", { $0.table_offset = 1 << 62 }),
            ("it is cut off or too long", { $0.extent_count = 2 }),
            ("it is cut off or too long", { $0.table_offset = 4096 }),
        ]
        for (index, (reason, change)) in cases.enumerated() {
            let path = scratch.path + "/\(index)"
            try forge(path, one, change)
            #expect(try complaint(path) == reason, "case \(index)")
        }
    }

    @Test func `every altered byte of header and table is seen, and every cut`() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/d"
        let extents = [Extent(memory: 0, length: page, file: page), Extent(memory: 4 * page, length: page, file: nil)]
        try write(
            MemoryDifference(memorySize: 64 * page, base: someBase, extents: extents), tableAt: 2 * page, path)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for place in Array(0..<72) + Array(2 * page..<whole.count) {
            var altered = whole
            altered[place] ^= 0x40
            try altered.write(to: URL(fileURLWithPath: path))
            #expect(throws: SandboxError.self, "byte \(place)") { try MemoryDifference.read(path) }
        }
        for length in [0, 1, 71, 72, page, 2 * page, whole.count - 1] {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            #expect(throws: SandboxError.self, "\(length) bytes") { try MemoryDifference.read(path) }
        }
        try (whole + [0]).write(to: URL(fileURLWithPath: path))
        #expect(try complaint(path) == "it is cut off or too long")
    }
}

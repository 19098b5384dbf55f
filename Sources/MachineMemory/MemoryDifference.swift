internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// Which template's memory a difference is to: 16 bytes that never name another one.
public struct MemoryBase: Sendable, Hashable {
    public let bytes: [UInt8]

    /// - Returns: `nil` if there are not 16 bytes.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self.bytes = bytes
    }
}

/// The memory of a virtual machine as a file that holds only what differs from its template's memory.
///
/// A header, the pages, and a table of extents at the end. The pages are where `mmap` can take them from, so waking reads
/// nothing but the table. Zero pages within an extent are holes of the file, longer runs of them extents without
/// contents. `machine_memory.h` of `CLinux` has the form and its bounds.
public struct MemoryDifference: Sendable, Hashable {
    /// A part of the memory that is not the template's. In bytes, multiples of a page.
    public struct Extent: Sendable, Hashable {
        public var memory: Int
        public var length: Int
        /// Where the contents are in the file; `nil`: zeros.
        public var file: Int?

        public init(memory: Int, length: Int, file: Int?) {
            self.memory = memory
            self.length = length
            self.file = file
        }
    }

    /// More are never in a file: the kernel allows a process 65,530 mappings.
    public static let mostExtents = Int(NJ_MEMORY_EXTENTS)
    public static let page = Int(NJ_MEMORY_PAGE)

    /// Bytes of the machine's memory.
    public var memorySize: Int
    public var base: MemoryBase
    /// In the order of the memory, without overlaps.
    public var extents: [Extent]

    public init(memorySize: Int, base: MemoryBase, extents: [Extent] = []) {
        self.memorySize = memorySize
        self.base = base
        self.extents = extents
    }

    /// Reads the header and the table of a file and checks them. Blocks.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed`, saying what is wrong.
    public static func read(_ path: String) throws -> MemoryDifference {
        do {
            let file = try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW)
            var status = stat()
            guard fstat(file.raw, &status) == 0 else { throw MemoryComplaint(path, "it cannot be read") }
            let size = UInt64(status.st_size)
            var header = nj_memory_header()
            try withUnsafeMutableBytes(of: &header) { try readAll(file, into: $0, at: 0, path) }
            if let wrong = nj_memory_check_header(&header, size) {
                throw MemoryComplaint(path, String(cString: wrong))
            }
            var table = [nj_memory_extent](repeating: nj_memory_extent(), count: Int(header.extent_count))
            try table.withUnsafeMutableBytes { try readAll(file, into: $0, at: header.table_offset, path) }
            if let wrong = nj_memory_check_table(&header, table) {
                throw MemoryComplaint(path, String(cString: wrong))
            }
            let base = withUnsafeBytes(of: header.base) { MemoryBase(Array($0)) }
            guard let base else { throw MemoryComplaint(path, "it names no template") }
            return MemoryDifference(
                memorySize: Int(header.memory_size), base: base,
                extents: table.map {
                    Extent(
                        memory: Int($0.memory), length: Int($0.length), file: $0.file == 0 ? nil : Int($0.file))
                })
        } catch {
            throw SandboxError(.driverFailed, "A saved memory cannot be used.", cause: error)
        }
    }

    /// Creates a file without contents: of a machine whose memory is the template's. Blocks.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` or `no_space`.
    public static func createEmpty(_ path: String, memorySize: Int, base: MemoryBase) throws {
        do {
            let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try MemoryDifference(memorySize: memorySize, base: base).seal(file, tableAt: page, path)
        } catch {
            throw memoryError(error)
        }
    }

    /// Writes the table at the end of the pages, then the header that makes the file valid.
    func seal(_ file: FileDescriptor, tableAt offset: Int, _ path: String) throws {
        var header = nj_memory_header()
        withUnsafeMutableBytes(of: &header.magic) { $0.copyBytes(from: Array(NJ_MEMORY_MAGIC.utf8)) }
        withUnsafeMutableBytes(of: &header.base) { $0.copyBytes(from: base.bytes) }
        header.version = UInt32(NJ_MEMORY_VERSION)
        header.page = UInt32(Self.page)
        header.memory_size = UInt64(memorySize)
        header.table_offset = UInt64(offset)
        header.extent_count = UInt64(extents.count)
        let table = extents.map {
            nj_memory_extent(memory: UInt64($0.memory), length: UInt64($0.length), file: UInt64($0.file ?? 0))
        }
        nj_memory_seal(&header, table)
        let size = UInt64(offset + table.count * MemoryLayout<nj_memory_extent>.stride)
        // What was written is held to the rules of reading, so a file that cannot be woken is never made.
        if let wrong = nj_memory_check_header(&header, size) ?? nj_memory_check_table(&header, table) {
            throw MemoryComplaint(path, String(cString: wrong))
        }
        guard ftruncate(file.raw, off_t(size)) == 0 else { throw SystemError(errno, "truncate", path) }
        try table.withUnsafeBytes { try writeAll(file, $0, at: offset, path) }
        try withUnsafeBytes(of: header) { try writeAll(file, $0, at: 0, path) }
    }
}

/// What is wrong with a memory file or with the memory of a process.
struct MemoryComplaint: Error, Hashable, CustomStringConvertible {
    var path: String
    var reason: String

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    var description: String { "\(path): \(reason)" }
}

func memoryError(_ error: any Error) -> SandboxError {
    if let error = error as? SandboxError { return error }
    let message = "The machine's memory cannot be saved."
    return (error as? SystemError)?.sandboxError(.driverFailed, message)
        ?? SandboxError(.driverFailed, message, cause: error)
}

private func readAll(
    _ file: FileDescriptor, into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64, _ path: String
) throws {
    var done = 0
    while done < bytes.count {
        let came = pread(file.raw, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + done)
        if came < 0, errno == EINTR { continue }
        guard came >= 0 else { throw SystemError(errno, "read", path) }
        guard came > 0 else { throw MemoryComplaint(path, "it is cut off") }
        done += came
    }
}

func writeAll(_ file: FileDescriptor, _ bytes: UnsafeRawBufferPointer, at offset: Int, _ path: String) throws {
    var done = 0
    while done < bytes.count {
        let sent = pwrite(file.raw, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset + done))
        if sent < 0, errno == EINTR { continue }
        guard sent >= 0 else { throw SystemError(errno, "write", path) }
        done += sent
    }
}

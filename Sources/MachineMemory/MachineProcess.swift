internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// A line of `/proc/PID/maps`.
struct MemoryMapping: Sendable, Hashable {
    var addresses: Range<UInt>
    /// Of the file, in bytes.
    var offset: Int
    var inode: UInt64

    /// - Returns: `nil` if the line is not of that form.
    init?(_ line: Substring) {
        let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
        guard fields.count >= 5 else { return nil }
        let ends = fields[0].split(separator: "-")
        guard ends.count == 2, let low = UInt(ends[0], radix: 16), let high = UInt(ends[1], radix: 16), low < high,
            let offset = Int(fields[2], radix: 16), let inode = UInt64(fields[4])
        else { return nil }
        addresses = low..<high
        self.offset = offset
        self.inode = inode
    }
}

/// The machine's memory in the process that runs it.
struct MachineProcess: Sendable {
    let pid: Int32
    /// Where the memory begins.
    let address: UInt
    let size: Int

    /// Finds the memory by the files that it was mapped from. Blocks.
    ///
    /// - Parameters:
    ///   - memoryFile: The template's memory.
    ///   - previous: What was laid over it, if anything.
    init(pid: Int32, memoryFile: String, previous: (path: String, difference: MemoryDifference)?) throws {
        let maps = try Self.maps(pid).compactMap { MemoryMapping($0) }
        let memory = try Self.status(memoryFile)
        size = Int(memory.st_size)
        self.pid = pid
        var beginnings = try Self.mappings(of: memory, in: maps, pid).map { $0.addresses.lowerBound - UInt($0.offset) }
        if beginnings.isEmpty, let previous {
            // Nothing is the template's any more.
            let difference = try Self.status(previous.path)
            beginnings = try Self.mappings(of: difference, in: maps, pid).compactMap { mapping in
                let extent = previous.difference.extents.first { $0.file == mapping.offset }
                return extent.map { mapping.addresses.lowerBound - UInt($0.memory) }
            }
        }
        guard let first = beginnings.first, beginnings.allSatisfy({ $0 == first }) else {
            throw MemoryComplaint("process \(pid)", "its memory is not mapped from the template's, or not once")
        }
        address = first
    }

    /// The lines of `/proc/PID/maps`. Blocks.
    static func maps(_ pid: Int32) throws -> [Substring] {
        // A process has at most some 65,530 mappings, with a line of at least 50 bytes each.
        let limit = 1 << 24
        let text = try TextFile.read("/proc/\(pid)/maps", limit: limit)
        guard text.utf8.count < limit else { throw MemoryComplaint("process \(pid)", "it has too many mappings") }
        return text.split(separator: "\n")
    }

    private static func status(_ path: String) throws -> stat {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw SystemError(errno, "stat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw MemoryComplaint(path, "it is no file") }
        return status
    }

    /// Those that are of a file. The device's number in the list is not what `stat` says on every file system, so the
    /// mapped file itself is asked; of one file, once.
    private static func mappings(of file: stat, in maps: [MemoryMapping], _ pid: Int32) throws -> [MemoryMapping] {
        let candidates = maps.filter { $0.inode == UInt64(file.st_ino) }
        guard let first = candidates.first else { return [] }
        let ends = [first.addresses.lowerBound, first.addresses.upperBound].map { String($0, radix: 16) }
        var mapped = stat()
        let path = "/proc/\(pid)/map_files/\(ends[0])-\(ends[1])"
        guard stat(path, &mapped) == 0 else { throw SystemError(errno, "stat", path) }
        return mapped.st_dev == file.st_dev ? candidates : []
    }

    /// Marks the pages that the process has for itself. Blocks.
    func scan(_ states: PageStates) throws {
        let pagemap = try FileDescriptor.open("/proc/\(pid)/pagemap", O_RDONLY)
        let error = nj_memory_scan(pagemap.raw, UInt64(address), states.states.baseAddress, states.count)
        guard error == 0 else { throw SystemError(error, "read", "/proc/\(pid)/pagemap") }
    }

    /// Copies some pages. Blocks.
    func read(_ pages: Range<Int>, into bytes: UnsafeMutableRawBufferPointer) throws {
        let start = UInt64(address) + UInt64(pages.lowerBound * MemoryDifference.page)
        let error = nj_memory_read(pid, start, bytes.baseAddress, pages.count * MemoryDifference.page)
        guard error == 0 else { throw SystemError(error, "read the memory of", "process \(pid)") }
    }
}

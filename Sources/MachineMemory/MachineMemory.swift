internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import SandboxModel
internal import Synchronization

/// Saves the memory of a virtual machine that stands still.
public enum MachineMemory {
    /// How much was saved.
    public struct Summary: Sendable, Hashable {
        /// Pages that were read, since they may differ from the template's.
        public var pages: Int
        /// Of them those that are zeros.
        public var zeroPages: Int
        public var extents: Int
    }

    /// The library, loaded into the machine's process before its own program, that ``MemoryDifference`` needs to be
    /// mapped lazily, and how it is told where the template's memory is.
    public static let library = "nightjar-memory.so"
    public static let libraryVariable = "NIGHTJAR_MEMORY"

    /// Where the library looks for the difference.
    public static func differencePath(of memoryFile: String) -> String { memoryFile + ".difference" }

    /// Whether a process has the library, without which it would run with the template's memory: a loader that cannot
    /// find a library to load before the program says so and goes on. Blocks.
    public static func hasLibrary(pid: Int32) throws -> Bool {
        do {
            return try MachineProcess.maps(pid).contains { $0.hasSuffix("/" + library) }
        } catch {
            throw memoryError(error)
        }
    }

    /// Writes what differs from the template's memory into a new file. The machine must stand still until this returns,
    /// and may go on afterwards.
    ///
    /// The time is in proportion to what differs. What was written is not on the device yet.
    ///
    /// - Parameters:
    ///   - pid: Of the machine's process.
    ///   - memoryFile: The template's memory, as this process sees it; its size is the machine's.
    ///   - previous: What the machine was woken from, if anything: the same file.
    ///   - target: Does not exist yet. It is removed if this fails.
    /// - Throws: ``SandboxError`` with `driver_failed`, `no_space` or `cancelled`.
    public static func save(
        pid: Int32, memoryFile: String, base: MemoryBase, previous: String? = nil, to target: String
    ) async throws -> Summary {
        do {
            let job = try await BlockingPool.shared.run {
                try SaveJob(pid: pid, memoryFile: memoryFile, base: base, previous: previous, target: target)
            }
            do {
                return try await job.run()
            } catch {
                unlink(target)
                throw error
            }
        } catch {
            throw memoryError(error)
        }
    }
}

/// One save under way.
private struct SaveJob: Sendable {
    static let chunk = 256
    static let threads = 2

    let process: MachineProcess
    let states: PageStates
    let plan: MemoryPlan
    let file: FileDescriptor
    let path: String
    let base: MemoryBase

    init(pid: Int32, memoryFile: String, base: MemoryBase, previous: String?, target: String) throws {
        let earlier = try previous.map { (path: $0, difference: try MemoryDifference.read($0)) }
        process = try MachineProcess(pid: pid, memoryFile: memoryFile, previous: earlier)
        if let earlier {
            guard earlier.difference.base == base, earlier.difference.memorySize == process.size else {
                throw MemoryComplaint(earlier.path, "it is a difference to another memory")
            }
        }
        states = PageStates(pages: process.size / MemoryDifference.page)
        try process.scan(states)
        if let earlier { states.mark(earlier.difference) }
        plan = MemoryPlan(states)
        self.base = base
        path = target
        file = try FileDescriptor.open(target, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    }

    func run() async throws -> MachineMemory.Summary {
        let chunks = plan.runs.flatMap { run in
            stride(from: run.pages.lowerBound, to: run.pages.upperBound, by: Self.chunk).map { start in
                MemoryPlan.Run(
                    pages: start..<min(start + Self.chunk, run.pages.upperBound),
                    file: run.file + (start - run.pages.lowerBound) * MemoryDifference.page)
            }
        }
        let next = Line()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.threads {
                group.addTask { try await BlockingPool.shared.run { try copy(chunks, next) } }
            }
            do {
                try await group.waitForAll()
            } catch {
                next.end()
                throw error
            }
        }
        try Task.checkCancellation()
        return try await BlockingPool.shared.run {
            let extents = plan.extents(states)
            try MemoryDifference(memorySize: process.size, base: base, extents: extents)
                .seal(file, tableAt: plan.tableOffset, path)
            let zeros = states.runs(in: 0..<states.count).filter { $0.state == PageStates.foundZero }
            return MachineMemory.Summary(
                pages: plan.runs.reduce(0) { $0 + $1.pages.count },
                zeroPages: zeros.reduce(0) { $0 + $1.pages.count }, extents: extents.count)
        }
    }

    /// Takes chunks until there are none. Blocks.
    private func copy(_ chunks: [MemoryPlan.Run], _ next: Line) throws {
        let page = MemoryDifference.page
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk * page, alignment: page)
        defer { buffer.deallocate() }
        while let index = next.take(below: chunks.count) {
            let chunk = chunks[index]
            try process.read(chunk.pages, into: buffer)
            nj_memory_find_zeros(
                buffer.baseAddress, chunk.pages.count, states.states.baseAddress?.advanced(by: chunk.pages.lowerBound),
                PageStates.foundZero)
            // Of the other states there is no need any more within a chunk: everything in it was read.
            var start = chunk.pages.lowerBound
            while start < chunk.pages.upperBound {
                var end = start
                while end < chunk.pages.upperBound, states.states[end] != PageStates.foundZero { end += 1 }
                let first = (start - chunk.pages.lowerBound) * page
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[first..<first + (end - start) * page])
                try writeAll(file, bytes, at: chunk.file + first, path)
                start = end
                while start < chunk.pages.upperBound, states.states[start] == PageStates.foundZero { start += 1 }
            }
        }
    }
}

/// Who takes which chunk.
private final class Line: Sendable {
    private let next = Mutex(0)

    func take(below end: Int) -> Int? {
        next.withLock { next in
            guard next < end else { return nil }
            defer { next += 1 }
            return next
        }
    }

    /// There is nothing left to take.
    func end() { next.withLock { $0 = Int.max } }
}

import Foundation
import LinuxSystem
import SandboxModel
import Testing

@testable import MachineMemory

/// The library as it is shipped, from its sources.
func buildLibrary(into directory: String) async throws -> String {
    let sources = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../Sources").standardized.path
    let library = directory + "/" + MachineMemory.library
    let compiled = try await ChildProcess.spawn(
        ChildCommand(
            "/usr/bin/cc",
            [
                "-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
                "-I", sources + "/CLinux/include", sources + "/nightjar-memory/nightjar-memory.c",
                sources + "/CLinux/memory_table.c", sources + "/CLinux/checksum.c", "-o", library,
            ]), descriptors: [0, 1, 2]
    ).wait(until: .now + .seconds(60))
    try #require(compiled.isSuccess)
    return library
}

/// A process that maps a memory file privately, as a virtual machine does, and writes what it is told to.
private final class Mapper: Sendable {
    private static let program = """
        import hashlib, mmap, os, random, sys
        path = sys.argv[1]
        fd = os.open(path, os.O_RDWR)
        memory = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        for line in sys.stdin:
            word, first, count, step, value = line.split()
            for page in range(int(first), int(first) + int(count) * int(step), int(step)):
                random.seed(page + int(value))
                memory[page * 4096:(page + 1) * 4096] = random.randbytes(4096) if int(value) else bytes(4096)
            print(hashlib.sha256(memory).hexdigest(), flush=True)
        """

    let process: ChildProcess
    private let input: FileDescriptor
    private let output: FileDescriptor
    private let complaints: FileDescriptor

    init(_ memory: String, library: String) throws {
        let (input, output, complaints) = (
            try FileDescriptor.pipe(), try FileDescriptor.pipe(), try FileDescriptor.pipe()
        )
        let inner = [input.reading, output.writing, complaints.writing]
        process = try ChildProcess.spawn(
            ChildCommand(
                "/usr/bin/python3", ["-c", Self.program, memory],
                environment: ["PATH": "/usr/bin", "LD_PRELOAD": library, MachineMemory.libraryVariable: memory]),
            descriptors: inner.map(\.raw))
        withExtendedLifetime(inner) {}
        (self.input, self.output, self.complaints) = (input.writing, output.reading, complaints.reading)
    }

    /// Writes to `count` pages from `first` on, each `step`th; a `value` of 0 makes them zeros.
    ///
    /// - Returns: The hash of all memory.
    func write(_ first: Int = 0, _ count: Int = 0, step: Int = 1, value: Int = 1) async throws -> String {
        try input.writeAll(Array("w \(first) \(count) \(step) \(value)\n".utf8))
        let answer = try await output.read(until: .now + .seconds(120))
        try #require(!answer.isEmpty, "the process has ended")
        return String(decoding: answer, as: UTF8.self)
    }

    func end() async -> (exit: ChildExit, complaint: String) {
        input.close()
        let text = (try? await complaints.read(until: .now + .seconds(120))) ?? []
        let exit = try? await process.wait(until: .now + .seconds(120))
        if exit == nil { _ = await process.stop() }
        return (exit ?? .signal(9), String(decoding: text, as: UTF8.self))
    }
}

@Suite struct GenerationTests {
    private static let pages = 8192

    private func template(_ directory: String) throws -> String {
        let path = directory + "/template"
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        for number in 0..<64 { try file.writeAll([UInt8](repeating: UInt8(number + 1), count: 16 * page)) }
        try #require(ftruncate(file.raw, off_t(Self.pages * page)) == 0)
        return path
    }

    /// A directory as the machine sees it: the template's memory, and a difference beside it.
    private func place(_ template: String, _ difference: String, _ directory: String) throws -> String {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try #require(link(template, directory + "/memory") == 0)
        try #require(link(difference, MachineMemory.differencePath(of: directory + "/memory")) == 0)
        return directory + "/memory"
    }

    @Test func `memory is the same in every generation, and only what differs is stored`() async throws {
        let scratch = try Scratch()
        let library = try await buildLibrary(into: scratch.path)
        let template = try template(scratch.path)
        var current = scratch.path + "/0"
        try MemoryDifference.createEmpty(current, memorySize: Self.pages * page, base: someBase)
        let writes: [(first: Int, count: Int, step: Int, value: Int)] = [
            (0, 0, 1, 1), (100, 50, 1, 7), (120, 10, 1, 0), (200, 300, 20, 9), (2000, 1000, 1, 0), (2500, 3, 1, 4),
            (0, 8192, 1, 3), (4000, 100, 1, 0),
        ]
        var expected: String?
        var previous: String?
        for (number, write) in writes.enumerated() {
            let memory = try place(template, current, scratch.path + "/g\(number)")
            let mapper = try Mapper(memory, library: library)
            let before = try await mapper.write()
            if let expected { #expect(before == expected, "generation \(number)") }
            expected = try await mapper.write(write.first, write.count, step: write.step, value: write.value)
            #expect(try MachineMemory.hasLibrary(pid: mapper.process.pid))
            let target = scratch.path + "/d\(number)"
            let summary = try await MachineMemory.save(
                pid: mapper.process.pid, memoryFile: template, base: someBase, previous: previous, to: target)
            if number == 0 { #expect(summary == .init(pages: 0, zeroPages: 0, extents: 0)) }
            if number == 1 { #expect(summary == .init(pages: 50, zeroPages: 0, extents: 1)) }
            if number == 4 { #expect(summary.zeroPages >= 1000) }
            let status = try FileManager.default.attributesOfItem(atPath: target)
            #expect((status[.size] as? Int ?? 0) <= (summary.pages + 1) * page + summary.extents * 24)
            // It may go on after it was saved.
            #expect(try await mapper.write() == expected)
            #expect(await mapper.end().exit == .code(0))
            (current, previous) = (target, target)
        }
        #expect(try MemoryDifference.read(current).extents.reduce(0) { $0 + $1.length } == Self.pages * page)
    }

    @Test func `a process ends rather than run with another memory`() async throws {
        let scratch = try Scratch()
        let library = try await buildLibrary(into: scratch.path)
        let template = try template(scratch.path)
        func complaint(_ name: String, _ make: (String) throws -> Void) async throws -> String {
            let directory = scratch.path + "/" + name
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try #require(link(template, directory + "/memory") == 0)
            try make(MachineMemory.differencePath(of: directory + "/memory"))
            let (exit, text) = await (try Mapper(directory + "/memory", library: library)).end()
            #expect(exit == .code(70), "\(name)")
            return text
        }
        #expect(try await complaint("none") { _ in }.contains("cannot be opened"))
        let size = Self.pages * page
        let other = try await complaint("size") {
            try MemoryDifference.createEmpty($0, memorySize: size / 2, base: someBase)
        }
        #expect(other.contains("another memory size"))
        let cut = try await complaint("cut") {
            try MemoryDifference.createEmpty($0, memorySize: size, base: someBase)
            try #require(truncate($0, 4000) == 0)
        }
        #expect(cut.contains("its table is not where it can be"))
        let zeros = try await complaint("zeros") { try Data(count: 8192).write(to: URL(fileURLWithPath: $0)) }
        #expect(zeros.contains("no memory difference"))
        let empty = try await complaint("empty") { try Data().write(to: URL(fileURLWithPath: $0)) }
        #expect(empty.contains("cut off"))
    }

    @Test func `a save that cannot be leaves no file`() async throws {
        let scratch = try Scratch()
        let template = try template(scratch.path)
        let target = scratch.path + "/d"
        // This process has not mapped it.
        let unmapped = await #expect(throws: SandboxError.self) {
            try await MachineMemory.save(pid: getpid(), memoryFile: template, base: someBase, to: target)
        }
        #expect(unmapped?.code == .driverFailed)
        let gone = await #expect(throws: SandboxError.self) {
            try await MachineMemory.save(pid: Int32.max, memoryFile: template, base: someBase, to: target)
        }
        #expect(gone?.code == .driverFailed)
        #expect(access(target, F_OK) != 0)
    }
}

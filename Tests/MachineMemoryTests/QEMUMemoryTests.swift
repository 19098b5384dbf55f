import Foundation
import LinuxSystem
import SandboxModel
import Testing

@testable import MachineMemory
@testable import QMP

/// The real program, as users have it: that it opens and maps the memory in the way that the library looks for.
@Suite struct QEMUMemoryTests {
    private static let size = 32 << 20

    /// What a machine sees, of which the first processor has not run.
    private func memory(_ directory: String, library: String) async throws -> Data {
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let log = try FileDescriptor.open(directory + "/log", O_WRONLY | O_CREAT, mode: 0o600)
        let listener = try UnixSocket.listen(directory + "/qmp.sock")
        let descriptors = [null, log, log, listener]
        let process = try ChildProcess.spawn(
            ChildCommand(
                "/usr/bin/qemu-system-x86_64",
                [
                    "-M", "microvm,mem-merge=off", "-m", "32", "-S", "-preconfig", "-nodefaults", "-no-user-config",
                    "-display", "none", "-accel", "tcg,tb-size=8",
                    "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                    "-chardev", "socket,id=monitor,fd=3,server=on,wait=off",
                    "-mon", "chardev=monitor,mode=control",
                ],
                environment: [
                    "LD_PRELOAD": library, MachineMemory.libraryVariable: directory + "/memory",
                ]), descriptors: descriptors.map(\.raw))
        withExtendedLifetime(descriptors) {}
        do {
            let deadline = ContinuousClock.now + .seconds(120)
            let monitor = try await QMPClient.connect(directory + "/qmp.sock", until: deadline)
            #expect(try MachineMemory.hasLibrary(pid: process.pid))
            try await monitor.run(
                .addMemoryFile("m", path: directory + "/memory", size: Int64(Self.size), isShared: false),
                until: deadline)
            try await monitor.run(.setProperty("memory-backend", of: "/machine", to: "m"), until: deadline)
            try await monitor.run(.exitPreconfig, until: deadline)
            #expect(try modes(of: directory + "/memory", in: process.pid) == ["0"])
            let dump = QMPCommand<QMPNothing>(
                "pmemsave",
                ["val": 0, "size": .integer(Int64(Self.size)), "filename": .string(directory + "/dump")])
            try await monitor.run(dump, until: deadline)
            _ = await process.stop()
            return try Data(contentsOf: URL(fileURLWithPath: directory + "/dump"))
        } catch {
            _ = await process.stop()
            let complaint = (try? TextFile.read(directory + "/log")) ?? ""
            throw MemoryComplaint(complaint, "\(error)")
        }
    }

    /// The access modes of the descriptors that a process has of a file: the last digit of the flags, 0 for reading.
    private func modes(of file: String, in pid: Int32) throws -> [String] {
        let descriptors = "/proc/\(pid)/fd/"
        return try FileManager.default.contentsOfDirectory(atPath: descriptors).filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: descriptors + $0)) == file
        }.map { descriptor in
            let information = try TextFile.read("/proc/\(pid)/fdinfo/\(descriptor)")
            let flags = information.split(separator: "\n").first { $0.hasPrefix("flags:") }
            return flags.map { String($0.suffix(1)) } ?? "none"
        }
    }

    @Test func `QEMU sees the template with the difference over it, and cannot write the template`() async throws {
        let scratch = try Scratch()
        let library = try await buildLibrary(into: scratch.path)
        let path = scratch.path + "/memory"
        var expected = Data(count: Self.size)
        for number in stride(from: 0, to: Self.size, by: page) { expected[number] = UInt8(number >> 12 & 0xFF) | 1 }
        try expected.write(to: URL(fileURLWithPath: path))
        try #require(chmod(path, 0o444) == 0)
        let extents = [
            MemoryDifference.Extent(memory: 3 * page, length: 2 * page, file: page),
            .init(memory: 100 * page, length: 50 * page, file: nil),
            .init(memory: Self.size - page, length: page, file: 3 * page),
        ]
        let file = try FileDescriptor.open(
            MachineMemory.differencePath(of: path), O_RDWR | O_CREAT, mode: 0o600)
        for extent in extents {
            let contents = Data(repeating: extent.file == nil ? 0 : 0xAB, count: extent.length)
            expected.replaceSubrange(extent.memory..<extent.memory + extent.length, with: contents)
            guard let offset = extent.file else { continue }
            try contents.withUnsafeBytes { try writeAll(file, $0, at: offset, path) }
        }
        try MemoryDifference(memorySize: Self.size, base: someBase, extents: extents)
            .seal(file, tableAt: 4 * page, path)
        let seen = try await memory(scratch.path, library: library)
        // Below 1 MiB QEMU shows its firmware in place of some pages.
        let differing = stride(from: 0, to: Self.size, by: page).filter {
            !(0xC0000..<0x100000).contains($0) && seen[$0..<$0 + page] != expected[$0..<$0 + page]
        }
        #expect(differing.map { $0 / page } == [])

        unlink(MachineMemory.differencePath(of: path))
        let error = await #expect(throws: MemoryComplaint.self) {
            try await memory(scratch.path, library: library)
        }
        #expect(error?.path.contains("the memory difference cannot be opened") == true)
    }
}

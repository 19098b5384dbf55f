import Foundation
import Glibc
import SandboxModel
import Testing

@testable import SandboxStorage

/// The empty disks of new sandboxes, made by the real `mke2fs`.
@Suite(.timeLimit(.minutes(5)), .enabled(if: access("/dev/loop-control", F_OK) == 0))
struct LayerImageTests {
    private func withDirectory(_ body: (String, DataDirectory) async throws -> Void) async throws {
        let path = NSTemporaryDirectory() + "nightjar-layers-\(randomToken(10))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path, try DataDirectory(path: path))
    }

    private func check(_ image: String) throws -> Int32 {
        let program = Process()
        program.executableURL = URL(fileURLWithPath: "/usr/sbin/e2fsck")
        program.arguments = ["-f", "-n", image]
        program.standardOutput = FileHandle.nullDevice
        program.standardError = FileHandle.nullDevice
        try program.run()
        program.waitUntilExit()
        return program.terminationStatus
    }

    @Test func `a disk is as large as asked for, sound, and hardly more than a hole`() async throws {
        try await withDirectory { path, directory in
            for size in [64, 10_240, 64] {
                let id = SandboxID()
                try await directory.createSandbox(id, durable: true, diskMiB: size)
                #expect(try await directory.hasSandbox(id))
                let image = directory.paths(of: id).image
                var status = stat()
                #expect(stat(image, &status) == 0 && Int(status.st_size) == size << 20)
                #expect(status.st_mode & 0o777 == 0o600)
                let used = try await directory.diskUsage(of: id)
                #expect(used == Int64(status.st_blocks) * 512 && used < 2 << 20)
                #expect(try check(image) == 0)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/layers").count == 2)
        }
    }

    @Test func `as many sizes are remembered as promised, and many at once do not disturb each other`() async throws {
        try await withDirectory { path, directory in
            let sizes = Array(64..<(64 + LayerImage.prototypeLimit + 4))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for size in sizes + sizes {
                    group.addTask {
                        let id = SandboxID()
                        try await directory.createSandbox(id, durable: false, diskMiB: size)
                        var status = stat()
                        #expect(stat(directory.paths(of: id).image, &status) == 0 && Int(status.st_size) == size << 20)
                    }
                }
                try await group.waitForAll()
            }
            // Those that were formatted at the same moment may be a few more, until the next one.
            _ = try await directory.createSandbox(SandboxID(), durable: false, diskMiB: 500)
            let kept = try FileManager.default.contentsOfDirectory(atPath: path + "/layers")
            #expect(kept.count <= LayerImage.prototypeLimit + 8 && kept.allSatisfy { !$0.contains(".") }, "\(kept)")
        }
    }

    @Test func `what an interrupted formatting left is removed`() async throws {
        try await withDirectory { path, directory in
            try await directory.createSandbox(SandboxID(), durable: false, diskMiB: 64)
            try Data("x".utf8).write(to: URL(fileURLWithPath: path + "/layers/ext4-1-99.abcdef"))
            let second = path + "/second"
            try FileManager.default.createDirectory(atPath: second, withIntermediateDirectories: true)
            try FileManager.default.moveItem(atPath: path + "/layers", toPath: second + "/layers")
            _ = try DataDirectory(path: second)
            #expect(try FileManager.default.contentsOfDirectory(atPath: second + "/layers") == ["ext4-1-64"])
        }
    }
}

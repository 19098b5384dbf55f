import Foundation
import SandboxModel
import Testing

@testable import LinuxSystem

@Suite struct FileTests {
    @Test func `a tree of any depth goes`() async throws {
        let scratch = try Scratch()
        let root = scratch.path + "/deep"
        let script = """
            import os, sys
            os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
            for i in range(3000):
                open("f", "w").close(); os.mkdir("d" * 100); os.chdir("d" * 100)
            """
        let made = try await ChildProcess.run(
            ChildCommand("/usr/bin/python3", ["-c", script, root]), until: .now + .seconds(60))
        try #require(made.exit.isSuccess, "\(made.complaint)")
        try TreeRemoval.remove(root)
        #expect(!FileManager.default.fileExists(atPath: root))
        #expect(try DirectoryListing.names(scratch.path) == [])
    }

    @Test func `links are removed and not followed`() throws {
        let scratch = try Scratch()
        let kept = scratch.path + "/kept"
        try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(fileURLWithPath: kept + "/file"))
        let root = scratch.path + "/tree"
        try FileManager.default.createDirectory(atPath: root + "/a", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: root + "/a/link", withDestinationPath: kept)
        try FileManager.default.createSymbolicLink(atPath: root + "/loop", withDestinationPath: ".")
        try TreeRemoval.remove(root)
        #expect(!FileManager.default.fileExists(atPath: root))
        #expect(FileManager.default.fileExists(atPath: kept + "/file"))
        try FileManager.default.createSymbolicLink(atPath: root, withDestinationPath: kept)
        try TreeRemoval.remove(root)
        #expect(FileManager.default.fileExists(atPath: kept + "/file"))
        try TreeRemoval.remove(root)
    }

    @Test func `names without meaning and directories without permissions go`() throws {
        let scratch = try Scratch()
        let root = scratch.path + "/tree"
        mkdir(root, 0o700)
        for bytes in [[0xFF, 0xFE], [0x0A], [0x2D, 0x66], Array("%s".utf8)] as [[UInt8]] {
            let path = Array((root + "/").utf8) + bytes + [0]
            #expect(mkdir(path.map { CChar(bitPattern: $0) }, 0) == 0)
        }
        mkfifo(root + "/pipe", 0)
        try TreeRemoval.empty(root)
        #expect(try DirectoryListing.names(root) == [])
    }

    @Test(.enabled(if: getuid() == 0, "needs root")) func `immutable files and directories go`() async throws {
        let scratch = try Scratch()
        let root = scratch.path + "/tree"
        try FileManager.default.createDirectory(atPath: root + "/d", withIntermediateDirectories: true)
        for name in ["d/i", "a"] { try Data().write(to: URL(fileURLWithPath: root + "/" + name)) }
        let set = try await ChildProcess.run(
            ChildCommand("/usr/bin/chattr", ["+i", root + "/d/i", root + "/d"]), until: .now + .seconds(10))
        _ = try await ChildProcess.run(
            ChildCommand("/usr/bin/chattr", ["+a", root + "/a"]), until: .now + .seconds(10))
        try #require(set.exit.isSuccess || set.complaint.contains("not supported"), "\(set.complaint)")
        try TreeRemoval.remove(root)
        #expect(!FileManager.default.fileExists(atPath: root))
    }

    @Test func `a file is replaced whole, and moves and syncs work`() throws {
        let scratch = try Scratch()
        try DurableFile.replace(scratch.path + "/f", with: Array("one".utf8))
        try DurableFile.replace(scratch.path + "/f", with: Array("two".utf8), mode: 0o644)
        #expect(try TextFile.read(scratch.path + "/f") == "two")
        #expect(throws: SystemError.self) { try DurableFile.replace(scratch.path + "/none/f", with: []) }
        try DurableFile.move(scratch.path + "/f", to: scratch.path + "/g")
        try DurableFile.syncTree(scratch.path)
        try DurableFile.syncFileSystem(of: scratch.path)
        #expect(try DirectoryListing.names(scratch.path) == ["g"])
    }

    @Test func `a directory is locked once`() throws {
        let scratch = try Scratch()
        let lock = try #require(try DirectoryLock(scratch.path))
        #expect(try DirectoryLock(scratch.path) == nil)
        // As a child has one between the call that makes it and the start of its program.
        let copies = try copies(of: scratch.path + "/lock")
        #expect(copies.count == 1)
        lock.release()
        #expect(try DirectoryLock(scratch.path) != nil)
        for copy in copies { close(copy) }
    }

    /// Duplicates of every descriptor of this process that is open on a file.
    private func copies(of path: String) throws -> [Int32] {
        try DirectoryListing.names("/proc/self/fd").filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
        }.compactMap(Int32.init).map { dup($0) }
    }

    @Test func `usage counts blocks once, and free space is told`() throws {
        let scratch = try Scratch()
        try DurableFile.replace(scratch.path + "/a", with: [UInt8](repeating: 1, count: 1 << 20))
        link(scratch.path + "/a", scratch.path + "/b")
        symlink("/usr", scratch.path + "/c")
        let used = try DiskSpace.used(scratch.path)
        #expect(used >= 1 << 20 && used < 3 << 19)
        #expect(try DiskSpace.free(scratch.path) > 0)
    }
}

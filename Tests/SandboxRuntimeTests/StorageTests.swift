import Foundation
import Glibc
import SandboxModel
import Testing

@testable import SandboxImages
@testable import SandboxStorage

@Suite(.timeLimit(.minutes(5)))
struct StorageTests {
    /// Goes away with the test.
    private final class Scratch: Sendable {
        let path = NSTemporaryDirectory() + "nightjar-storage-\(randomToken(10))"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let scratch = Scratch()
    private var path: String { scratch.path }
    private let files = FileManager.default

    private func mode(_ path: String) throws -> Int? {
        try files.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func `only root reaches a sandbox's files`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let paths = directory.paths(of: id)
        #expect(try mode(path) == 0o700)
        #expect(try mode(path + "/sandboxes") == 0o700)
        #expect(try mode(paths.root) == 0o700)
        // This one becomes the guest's root directory.
        #expect(try mode(paths.upper) == 0o755)
    }

    @Test func `the init layer is named by its content and installed once`() async throws {
        let directory = try DataDirectory(path: path)
        let binary = path + "/binary"
        try writeText("one", to: binary)
        let first = try await directory.installInitLayer(from: binary)
        #expect(try await directory.installInitLayer(from: binary) == first)
        let installed = directory.initLayerPath(first) + "/.nightjar/init"
        #expect(try readText(installed) == "one")
        #expect(try mode(installed) == 0o755)
        try writeText("two", to: binary)
        let second = try await directory.installInitLayer(from: binary)
        #expect(second != first)
        #expect(try readText(installed) == "one")
        // Torn by a crash: installed again.
        try writeText("o", to: installed)
        try writeText("one", to: binary)
        #expect(try await directory.installInitLayer(from: binary) == first)
        #expect(try readText(installed) == "one")
        try await directory.removeInitLayers(except: [second])
        #expect(!files.fileExists(atPath: installed))
        #expect(files.fileExists(atPath: directory.initLayerPath(second)))
    }

    @Test func `a guest's files over the init are removed before a fresh start, and kept for a wake`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: false)
        let paths = directory.paths(of: id)
        try files.createDirectory(atPath: paths.upper + "/.nightjar", withIntermediateDirectories: true)
        try files.createDirectory(atPath: paths.work + "/work/incompat/volatile", withIntermediateDirectories: true)
        try writeText("evil", to: paths.upper + "/.nightjar/init")
        try await directory.prepareRoot(of: id, fresh: false)
        #expect(files.fileExists(atPath: paths.upper + "/.nightjar/init"))
        #expect(!files.fileExists(atPath: paths.work + "/work/incompat"))
        try await directory.prepareRoot(of: id, fresh: true)
        #expect(!files.fileExists(atPath: paths.upper + "/.nightjar"))
    }

    private func manifest(_ id: SandboxID, _ generation: Int) -> CheckpointManifest {
        CheckpointManifest(
            sandbox: id, execution: ExecutionID(), generation: generation, tier: "gvisor", driverVersion: "1",
            templateVersion: "v1", initLayer: "x", createdAt: Timestamp(unixNanoseconds: 0))
    }

    @Test func `a checkpoint is valid only where it is whole and the newest`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let place = try await directory.beginCheckpoint(of: id, generation: 1)
        try Data(repeating: 7, count: 9 << 20).write(to: URL(fileURLWithPath: place + "/pages.img"))
        try writeText("state", to: place + "/state.img")
        await #expect(throws: UnusableCheckpoint.self) {
            try await directory.validateCheckpoint(of: id, generation: 1)
        }
        let written = try await directory.commitCheckpoint(manifest(id, 1)) {}
        #expect(written.bytes == 9 << 20 + 5)
        #expect(try await directory.validateCheckpoint(of: id, generation: 1) == written)
        await #expect(throws: UnusableCheckpoint.self) {
            try await directory.validateCheckpoint(of: id, generation: 2)
        }
        try await directory.verifyCheckpoint(written)
        try writeText("state, longer", to: directory.paths(of: id).checkpoint(1) + "/state.img")
        await #expect(throws: UnusableCheckpoint.self) {
            try await directory.validateCheckpoint(of: id, generation: 1)
        }
    }

    @Test func `a single altered bit of a checkpoint is noticed, wherever it is`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let place = try await directory.beginCheckpoint(of: id, generation: 1)
        let size = (9 << 20) + 5
        try Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(
            to: URL(fileURLWithPath: place + "/pages.img"))
        let written = try await directory.commitCheckpoint(manifest(id, 1)) {}
        let image = directory.paths(of: id).checkpoint(1) + "/pages.img"
        for offset in [0, 1, (1 << 20) - 1, 1 << 20, 5_000_001, size - 6, size - 1] {
            let file = open(image, O_RDWR)
            defer { close(file) }
            var byte: UInt8 = 0
            #expect(pread(file, &byte, 1, off_t(offset)) == 1)
            byte ^= 0x10
            #expect(pwrite(file, &byte, 1, off_t(offset)) == 1)
            await #expect(throws: UnusableCheckpoint.self, "byte \(offset)") {
                try await directory.verifyCheckpoint(written)
            }
            byte ^= 0x10
            #expect(pwrite(file, &byte, 1, off_t(offset)) == 1)
        }
        try await directory.verifyCheckpoint(written)
    }

    @Test func `an altered manifest is noticed`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        try writeText("x", to: try await directory.beginCheckpoint(of: id, generation: 1) + "/a.img")
        _ = try await directory.commitCheckpoint(manifest(id, 1)) {}
        let file = directory.paths(of: id).checkpoint(1) + "/manifest.json"
        let text = try readText(file)
        for (part, other) in [("\"init_layer\" : \"x\"", "\"init_layer\" : \"y\""), ("a.img", "b.img"), ("v1", "v2")] {
            #expect(text.contains(part))
            try writeText(text.replacingOccurrences(of: part, with: other), to: file)
            await #expect(throws: UnusableCheckpoint.self, "\(other)") {
                try await directory.validateCheckpoint(of: id, generation: 1)
            }
        }
    }

    @Test func `a checkpoint of format 1 is still read`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let place = directory.paths(of: id).checkpoint(1)
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        try writeText("state", to: place + "/a.img")
        var old = manifest(id, 1)
        old.format = 1
        old.files = [.init(name: "a.img", size: 5, hash: try sampledHash(of: place + "/a.img", size: 5))]
        try JSONEncoder().encode(old).write(to: URL(fileURLWithPath: place + "/manifest.json"))
        let read = try await directory.validateCheckpoint(of: id, generation: 1)
        try await directory.verifyCheckpoint(read)
        try writeText("stale", to: place + "/a.img")
        await #expect(throws: UnusableCheckpoint.self) { try await directory.verifyCheckpoint(read) }
    }

    @Test func `a checkpoint of a newer format is refused, not given up`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let place = directory.paths(of: id).checkpoint(1)
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        try writeText(#"{"magic": "nightjar-checkpoint", "format": 3, "other": true}"#, to: place + "/manifest.json")
        await #expect(throws: SandboxError.self) { try await directory.validateCheckpoint(of: id, generation: 1) }
    }

    @Test func `discarding checkpoints leaves newer ones`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        for generation in 1...3 {
            try writeText("x", to: try await directory.beginCheckpoint(of: id, generation: generation) + "/a")
            if generation < 3 { _ = try await directory.commitCheckpoint(manifest(id, generation)) {} }
        }
        try await directory.discardCheckpoints(of: id, through: 1)
        #expect(
            Set(try files.contentsOfDirectory(atPath: directory.paths(of: id).root + "/checkpoint")) == ["2", "3.new"])
    }

    @Test func `a removed sandbox is out of the way at once, and gone after the sweep`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        var deep = directory.paths(of: id).upper
        for _ in 0..<150 { deep += "/d" }
        try files.createDirectory(atPath: deep, withIntermediateDirectories: true)
        try files.createSymbolicLink(atPath: deep + "/link", withDestinationPath: "/etc")
        try await directory.trashSandbox(id)
        #expect(try await !directory.hasSandbox(id))
        #expect(try await directory.sandboxIDs().isEmpty)
        try await directory.sweepTrash()
        #expect(try files.contentsOfDirectory(atPath: path + "/trash") == [])
        #expect(files.fileExists(atPath: "/etc/passwd"))
    }

    @Test func `syncing takes every kind of file, few or many`() async throws {
        let directory = try DataDirectory(path: path)
        let id = SandboxID()
        try await directory.createSandbox(id, durable: true)
        let upper = directory.paths(of: id).upper
        try writeText("a", to: upper + "/a")
        try files.createSymbolicLink(atPath: upper + "/dangling", withDestinationPath: "/nowhere")
        #expect(mkfifo(upper + "/fifo", 0o600) == 0)
        try await directory.syncFiles(of: directory.paths(of: id)) {}
        for index in 0..<(ChangedFiles.limit + 50) { try writeText("x", to: upper + "/f\(index)") }
        try await directory.syncFiles(of: directory.paths(of: id)) {}
        #expect(files.fileExists(atPath: directory.paths(of: id).root + "/synced"))
    }

    // MARK: Templates

    private func template(_ name: String, _ json: String?, rootfs: Bool = true) throws {
        let version = path + "/templates/\(name)/versions/v1"
        try files.createDirectory(atPath: version + (rootfs ? "/rootfs" : ""), withIntermediateDirectories: true)
        if let json { try writeText(json, to: version + "/template.json") }
        try files.createSymbolicLink(atPath: path + "/templates/\(name)/current", withDestinationPath: "versions/v1")
    }

    private func json(_ name: String) -> String {
        """
        {"name": "\(name)", "version": "v1", "created_at": "2026-01-01T00:00:00Z", "description": "", "default_user": "root",
         "working_directory": "/", "environment": {}, "size_bytes": 1, "isolation": ["gvisor"]}
        """
    }

    @Test func `a template is found by name and pinned by version`() async throws {
        let directory = try DataDirectory(path: path)
        let store = TemplateStore(directory: directory)
        try template("base", json("base"))
        let found = try await store.template("base")
        #expect(found.resource.version == "v1")
        #expect(found.rootfs == path + "/templates/base/versions/v1/rootfs")
        try files.moveItem(atPath: path + "/templates/base/versions/v1", toPath: path + "/templates/base/versions/v2")
        try files.removeItem(atPath: path + "/templates/base/current")
        try files.createSymbolicLink(atPath: path + "/templates/base/current", withDestinationPath: "versions/v2")
        #expect(try await store.template("base").resource.version == "v2")
        #expect(await code { _ = try await store.template("base", version: "v1") } == .templateNotFound)
    }

    @Test func `a broken template is told from one that is not there`() async throws {
        let directory = try DataDirectory(path: path)
        let store = TemplateStore(directory: directory)
        try template("good", json("good"))
        try template("nojson", nil)
        try template("noroot", json("noroot"), rootfs: false)
        try template("other", json("name"))
        try template("garbage", "{")
        for name in ["nojson", "noroot", "other", "garbage"] {
            #expect(await code { _ = try await store.template(name) } == .unavailable, "\(name)")
        }
        #expect(await code { _ = try await store.template("absent") } == .templateNotFound)
        #expect(await code { _ = try await store.template("../good") } == .invalidName)
        #expect(await code { _ = try await store.template("good", version: "../v1") } == .templateNotFound)
        #expect(try await store.all().map(\.resource.name) == ["good"])
    }
}

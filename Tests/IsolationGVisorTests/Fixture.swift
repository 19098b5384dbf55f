import Foundation
import GuestClient
import Isolation
import LinuxSystem
import Logging
import SandboxModel
import Synchronization
import Testing
import Wire

@testable import IsolationGVisor

/// Where the programs under test are, and whether this machine can run them.
enum Host {
    static let binaries: String = {
        let environment = ProcessInfo.processInfo.environment
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let candidates = [environment["NIGHTJAR_TEST_BIN"], package + "/.build-guest/release", package + "/out"]
        return candidates.compactMap { $0 }.first {
            FileManager.default.isExecutableFile(atPath: $0 + "/nightjar-shim")
        }
            ?? package + "/out"
    }()
    static let runsc = "/usr/bin/runsc"
    static let busybox = "/bin/busybox"

    static let isReady: Bool =
        getuid() == 0
        && [runsc, busybox, binaries + "/nightjar-shim", binaries + "/nightjar-init"]
            .allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
    static let reason: Comment = "needs root, runsc, busybox-static and the built guest programs"
}

/// Folders, a template made of busybox and a driver, all removed at the end; the end checks that nothing is left.
final class Fixture: Sendable {
    let directory: String
    let driver: GVisorDriver
    let configuration: GVisorConfiguration

    init(
        control: GVisorConfiguration.Control = .automatic, prewarm: Int = 0, directFileAccess: Bool = true,
        directory: String? = nil
    ) throws {
        self.directory = directory ?? "/tmp/njt-\(randomToken(8))"
        var logger = Logger(label: "test")
        logger.logLevel = .warning
        configuration = GVisorConfiguration(
            runDirectory: self.directory + "/run", shimPath: Host.binaries + "/nightjar-shim", runscPath: Host.runsc,
            prewarm: prewarm, logger: logger, control: control, directFileAccess: directFileAccess,
            cgroupParent: "nightjar-test/\(self.directory.split(separator: "-").last ?? "x")")
        driver = GVisorDriver(configuration: configuration)
        if directory == nil { try makeLayers() }
    }

    private func makeLayers() throws {
        let files = FileManager.default
        for path in ["run", "init/.nightjar", "template/bin", "template/usr/bin", "template/etc", "empty"] {
            try files.createDirectory(atPath: "\(directory)/\(path)", withIntermediateDirectories: true)
        }
        try files.copyItem(atPath: Host.binaries + "/nightjar-init", toPath: directory + "/init/.nightjar/init")
        try files.copyItem(atPath: Host.busybox, toPath: directory + "/template/bin/busybox")
        for name in [
            "sh", "ls", "cat", "echo", "rm", "sleep", "true", "id", "ps", "dd", "md5sum", "wget", "mkdir", "ip", "mv",
            "mount",
        ] {
            try files.createSymbolicLink(atPath: "\(directory)/template/bin/\(name)", withDestinationPath: "busybox")
        }
        try Data("root:x:0:0:root:/:/bin/sh\n".utf8).write(to: URL(fileURLWithPath: directory + "/template/etc/passwd"))
        try Data("shared\n".utf8).write(to: URL(fileURLWithPath: directory + "/template/usr/bin/marker"))
    }

    var template: [String] { [directory + "/init", directory + "/template"] }

    /// A request for a sandbox with a fresh writable layer.
    func request(
        lower: [String]? = nil, limits: ResourceLimits = .init(memoryMiB: 512), upper: String? = nil
    ) throws
        -> StartRequest
    {
        let execution = ExecutionID()
        let layer = upper ?? "\(directory)/layers/\(execution)"
        for path in ["upper", "work"] {
            try FileManager.default.createDirectory(atPath: "\(layer)/\(path)", withIntermediateDirectories: true)
        }
        return StartRequest(
            sandbox: SandboxID(), execution: execution,
            root: SandboxRoot(
                lower: lower ?? template,
                layer: .directories(upper: layer + "/upper", work: layer + "/work"), volatile: true),
            hostname: "box", limits: limits)
    }

    func checkpointDirectory() throws -> String {
        let path = "\(directory)/checkpoints/\(randomToken(6))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Runs a test and then removes everything.
    static func with(
        control: GVisorConfiguration.Control = .automatic, prewarm: Int = 0, directFileAccess: Bool = true,
        _ body: (Fixture) async throws -> Void
    ) async throws {
        let fixture = try Fixture(control: control, prewarm: prewarm, directFileAccess: directFileAccess)
        do {
            try await body(fixture)
        } catch {
            await fixture.removeEverything()
            throw error
        }
        fixture.expectNothingLeft()
        await fixture.removeEverything()
    }

    private func removeEverything() async {
        await driver.prewarm(0)
        let late = GVisorDriver(configuration: configuration)
        for id in (try? await late.survivors()) ?? [] { try? await late.destroy(id) }
        for group in [configuration.cgroupParent, "nightjar-test"] {
            for directory in Cgroup(group, layout: .current()).directories { rmdir(directory) }
        }
        try? TreeRemoval.remove(directory)
    }

    /// Nothing of any sandbox of this fixture is left: slots, processes, groups, mounts.
    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) {
        let slots = ((try? DirectoryListing.names(configuration.slotsDirectory)) ?? []).filter {
            $0 != "root" && $0 != "probe"
        }
        #expect(slots == [], sourceLocation: sourceLocation)
        let processes = ProcessFacts.allProcesses().filter { pid in
            ProcessFacts.commandLine(pid: pid).contains { $0.contains(configuration.slotsDirectory) }
        }
        #expect(processes == [], sourceLocation: sourceLocation)
        for directory in Cgroup(configuration.cgroupParent, layout: .current()).directories {
            let groups = ((try? DirectoryListing.names(directory)) ?? []).filter { isDirectory("\(directory)/\($0)") }
            #expect(groups == [], sourceLocation: sourceLocation)
        }
        let mounts = (try? TextFile.read("/proc/self/mountinfo", limit: 1 << 20)) ?? ""
        #expect(!mounts.contains(directory), sourceLocation: sourceLocation)
    }

    private func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }
}

extension Execution {
    /// Runs a shell command inside and returns its standard output; fails the test if it did not exit with 0.
    func shell(_ command: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let result = try await tryShell(command)
        #expect(
            result.exit.code == 0, "\(command): \(String(decoding: result.stderr, as: UTF8.self))",
            sourceLocation: sourceLocation)
        return String(decoding: result.stdout, as: UTF8.self)
    }

    func tryShell(_ command: String) async throws -> ProcessResult {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", command])
        start.environment = ["PATH": "/bin:/usr/bin"]
        return try await guest.run(start, input: nil, outputLimit: 1 << 20)
    }
}

/// Polls until something is so.
func eventually(
    _ what: Comment, within limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record(what, sourceLocation: sourceLocation)
}

extension SandboxRoot {
    /// Where its files are.
    var upper: String {
        switch layer {
        case .directories(let upper, _): upper
        case .image(let path, _): path
        }
    }
}

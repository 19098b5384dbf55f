import Foundation
import IsolationShim
import LinuxSystem
import SandboxModel
import Testing

/// Where the programs under test are, and whether this machine can run them.
enum JailHost {
    static let shim: String = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let candidates = [
            ProcessInfo.processInfo.environment["NIGHTJAR_TEST_BIN"], package + "/.build-guest/release",
            package + "/out/debug",
        ]
        return candidates.compactMap { $0.map { $0 + "/nightjar-shim" } }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
            ?? package + "/out/debug/nightjar-shim"
    }()
    static let qemu = "/usr/bin/qemu-system-x86_64"

    static let isReady =
        getuid() == 0
        && [shim, qemu, JailProbe.interpreter].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
    static let reason: Comment = "needs root, qemu-system-x86, python3 and the built nightjar-shim"
}

/// A folder with slots in it, all removed at the end; the end checks that nothing is left.
final class JailFixture: Sendable {
    let directory = "/tmp/njt-\(randomToken(8))"
    let group: String
    /// A user that nobody else runs as.
    let user: UInt32 = 2_000_000_000

    var slots: String { directory + "/vm" }

    private init() throws {
        group = "nightjar-test/\(randomToken(8))"
        try FileManager.default.createDirectory(atPath: slots, withIntermediateDirectories: true)
    }

    static func with(_ body: (JailFixture) async throws -> Void) async throws {
        let fixture = try JailFixture()
        do {
            try await body(fixture)
            fixture.expectNothingLeft()
        } catch {
            await fixture.removeEverything()
            throw error
        }
        await fixture.removeEverything()
    }

    /// A slot that is not made yet, or one of a former server.
    func slot(_ id: String = randomToken(10)) -> ShimSlot {
        let layout = CgroupLayout.current()
        let cgroup = layout.obstacle == nil ? Cgroup("\(group)/\(id)", layout: layout) : nil
        return ShimSlot(id, in: slots, cgroup: cgroup)
    }

    /// A slot in which a program is jailed.
    func start(
        _ program: [String], user: UInt32? = nil, devices: [String] = [], environment: [String] = [],
        patience: Duration = .seconds(60)
    ) async throws -> ShimSlot {
        let slot = slot()
        do {
            try slot.makeDirectory()
            try slot.cgroup?.create()
            let jail = ShimCommand.Jail(user: user ?? self.user, devices: devices, environment: environment)
            try slot.start(ShimCommand(.jail(jail), program: program, patience: patience), shim: JailHost.shim)
            try await slot.awaitReady(until: .now + .seconds(20))
            return slot
        } catch {
            try await slot.remove()
            throw error
        }
    }

    /// A file of the host that is not empty.
    func file(_ name: String, mode: Int = 0o600) throws -> String {
        let path = directory + "/" + name
        try Data(repeating: 1, count: 65536).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private func removeEverything() async {
        for id in (try? ShimSlot.recorded(in: slots)) ?? [] { try? await slot(id).remove() }
        for name in [group, "nightjar-test"] {
            for directory in Cgroup(name, layout: .current()).directories { rmdir(directory) }
        }
        try? TreeRemoval.remove(directory)
    }

    /// Nothing of any slot is left: folders, processes, groups, mounts.
    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect((try? ShimSlot.recorded(in: slots)) == [], sourceLocation: sourceLocation)
        #expect(processes == [], sourceLocation: sourceLocation)
        for directory in Cgroup(group, layout: .current()).directories {
            var isDirectory: ObjCBool = false
            let groups = ((try? DirectoryListing.names(directory)) ?? []).filter {
                FileManager.default.fileExists(atPath: "\(directory)/\($0)", isDirectory: &isDirectory)
                    && isDirectory.boolValue
            }
            #expect(groups == [], sourceLocation: sourceLocation)
        }
        let mounts = (try? TextFile.read("/proc/self/mountinfo", limit: 1 << 20)) ?? ""
        #expect(!mounts.contains(directory), sourceLocation: sourceLocation)
    }

    /// The fixture's processes, by command line or by user. One that has ended and waits for its new parent is none.
    var processes: [Int32] {
        ProcessFacts.allProcesses().filter { pid in
            guard ProcessFacts(pid: pid).map({ $0.state != "Z" }) == true else { return false }
            return ProcessFacts.commandLine(pid: pid).contains { $0.contains(slots) }
                || Self.status(pid)["Uid"] == "\(user)"
        }
    }

    /// The first words of the lines of a process's status.
    static func status(_ pid: Int32) -> [String: String] {
        var values: [String: String] = [:]
        for line in ((try? TextFile.read("/proc/\(pid)/status")) ?? "").split(separator: "\n") {
            let words = line.split { $0 == ":" || $0.isWhitespace }
            if words.count > 1 { values[String(words[0])] = String(words[1]) }
        }
        return values
    }
}

/// A connection that carries a JSON object in each line.
final class LineConnection {
    private let read: () async throws -> [UInt8]
    private let write: ([UInt8]) async throws -> Void
    private var buffer: [UInt8] = []

    init(_ socket: UnixSocket) {
        read = { try await socket.receive(until: .now + .seconds(20)).bytes }
        write = { try await socket.send($0, until: .now + .seconds(20)) }
    }

    init(_ descriptor: FileDescriptor) {
        read = { try await descriptor.read(until: .now + .seconds(60)) }
        write = { try descriptor.writeAll($0) }
    }

    func send(_ line: String) async throws { try await write(Array(line.utf8) + [0x0A]) }

    /// The next line; fails at the end.
    func next() async throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                defer { buffer.removeSubrange(...end) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            let part = try await read()
            try #require(!part.isEmpty, "the connection ended")
            buffer += part
        }
    }

    /// Sends a command of QEMU's protocol and returns the line that answers it.
    func execute(_ command: String, _ arguments: String = "{}") async throws -> String {
        try await send(#"{"execute":"\#(command)","arguments":\#(arguments)}"#)
        while true {
            let line = try await next()
            if line.contains(#""return""#) || line.contains(#""error""#) { return line }
        }
    }
}

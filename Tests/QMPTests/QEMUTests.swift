import Foundation
import LinuxSystem
import SandboxModel
import Testing

@testable import QMP

/// A QEMU without a machine worth the name, with its monitor; ends with the test.
struct QEMU {
    let directory: String
    let process: ChildProcess
    let monitor: QMPClient

    static let program = "/usr/bin/qemu-system-x86_64"

    static func run(
        _ arguments: [String] = ["-M", "none"], _ body: (QEMU) async throws -> Void
    ) async throws {
        let directory = "/tmp/njq-\(randomToken(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? TreeRemoval.remove(directory) }
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let log = try FileDescriptor.open(directory + "/log", O_WRONLY | O_CREAT, mode: 0o600)
        let listener = try UnixSocket.listen(directory + "/qmp.sock")
        let command = ChildCommand(
            program,
            arguments + [
                "-S", "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,tb-size=8",
                "-chardev", "socket,id=monitor,fd=3,server=on,wait=off", "-mon", "chardev=monitor,mode=control",
            ])
        let descriptors = [null, log, log, listener]
        let process = try ChildProcess.spawn(command, descriptors: descriptors.map(\.raw))
        withExtendedLifetime(descriptors) {}
        do {
            let monitor = try await QMPClient.connect(directory + "/qmp.sock", until: .soon)
            try await body(QEMU(directory: directory, process: process, monitor: monitor))
        } catch {
            let complaint = (try? TextFile.read(directory + "/log")) ?? ""
            _ = await process.stop()
            Issue.record("\(error) \(complaint)")
            return
        }
        _ = await process.stop()
    }

    func refusal<Answer>(_ command: QMPCommand<Answer>) async -> String? {
        let error = await #expect(throws: SandboxError.self) { try await monitor.run(command, until: .soon) }
        guard case .refused(let name, _, let reason) = error?.monitorError else { return nil }
        #expect(name == command.name)
        return reason
    }
}

/// The real program, as users have it.
@Suite struct QEMUTests {
    @Test func `versions and states are told, and quit ends it with an event`() async throws {
        try await QEMU.run { qemu in
            let version = try await qemu.monitor.run(.queryVersion, until: .soon)
            #expect(version == qemu.monitor.version && version.major >= 7)
            let status = try await qemu.monitor.run(.queryStatus, until: .soon)
            #expect(status.state == "prelaunch" && !status.isRunning)
            var position = qemu.monitor.position
            try await qemu.monitor.run(.cont, until: .soon)
            _ = try await qemu.monitor.event([.resume], from: &position, until: .soon)
            #expect(try await qemu.monitor.run(.queryStatus, until: .soon).isRunning)
            try await qemu.monitor.run(.stop, until: .soon)
            _ = try await qemu.monitor.event([.stop], from: &position, until: .soon)
            try await qemu.monitor.run(.quit, until: .soon)
            let end = try await qemu.monitor.event([.shutdown], from: &position, until: .soon)
            #expect(end.data["reason"]?.string == "host-qmp-quit")
            #expect(try await qemu.process.wait(until: .soon) == .code(0))
            let gone = await #expect(throws: SandboxError.self) { try await qemu.monitor.run(.stop, until: .soon) }
            #expect(gone?.code == .driverFailed)
        }
    }

    @Test func `a second connection has its turn when the first is closed`() async throws {
        try await QEMU.run { qemu in
            let late = await #expect(throws: SandboxError.self) {
                try await QMPClient.connect(qemu.directory + "/qmp.sock", until: .now + .milliseconds(100))
            }
            #expect(late?.code == .deadlineExceeded)
            qemu.monitor.close()
            let second = try await QMPClient.connect(qemu.directory + "/qmp.sock", until: .soon)
            #expect(try await second.run(.queryStatus, until: .soon).state == "prelaunch")
        }
    }

    @Test func `memory files and disks come and go`() async throws {
        try await QEMU.run { qemu in
            let (memory, disk) = (qemu.directory + "/memory", qemu.directory + "/disk")
            for file in [memory, disk] {
                try FileDescriptor.open(file, O_RDWR | O_CREAT, mode: 0o600)
                    .writeAll([UInt8](repeating: 7, count: 1 << 20))
            }
            let monitor = qemu.monitor
            try await monitor.run(.addMemoryFile("m", path: memory, size: 1 << 20, isShared: false), until: .soon)
            #expect(try await monitor.run(.property("size", of: "/objects/m"), until: .soon) == 1_048_576)
            #expect(try await monitor.run(.property("share", of: "/objects/m"), until: .soon) == false)
            try await monitor.run(.setProperty("dump", of: "/objects/m", to: false), until: .soon)
            #expect(await qemu.refusal(.property("nothing", of: "/objects/m"))?.contains("not found") == true)
            try await monitor.run(.removeObject("m"), until: .soon)
            #expect(await qemu.refusal(.removeObject("m")) != nil)

            try await monitor.run(.addRawImage("d0", path: disk, isReadOnly: true), until: .soon)
            try await monitor.run(.addRawImage("d1", path: disk, isReadOnly: true), until: .soon)
            #expect(await qemu.refusal(.addRawImage("d0", path: disk, isReadOnly: true)) != nil)
            #expect(await qemu.refusal(.snapshotBlockNode("d0", overlay: "d1")) != nil)
            for node in ["d0", "d1"] { try await monitor.run(.removeBlockNode(node), until: .soon) }
            #expect(await qemu.refusal(.addRawImage("d0", path: "/none", isReadOnly: true))?.contains("/none") == true)
        }
    }

    @Test func `descriptors are passed by name and into sets`() async throws {
        try await QEMU.run { qemu in
            let (reading, writing) = try FileDescriptor.pipe()
            try await qemu.monitor.run(.passDescriptor(reading, as: "state"), until: .soon)
            try await qemu.monitor.run(.closeDescriptor("state"), until: .soon)
            #expect(await qemu.refusal(.closeDescriptor("state")) != nil)
            let passed = try await qemu.monitor.run(.addDescriptor(writing), until: .soon)
            let other = try await qemu.monitor.run(.addDescriptor(writing, set: passed.set), until: .soon)
            #expect(other.set == passed.set && other.descriptor != passed.descriptor)
            let first = passed.descriptor
            try await qemu.monitor.run(.removeDescriptors(set: passed.set, descriptor: first), until: .soon)
            try await qemu.monitor.run(.removeDescriptors(set: passed.set), until: .soon)
            #expect(await qemu.refusal(.removeDescriptors(set: passed.set + 100)) != nil)
        }
    }

    @Test func `a machine's state goes out and comes in again`() async throws {
        let file = "/tmp/njq-\(randomToken(8)).state"
        defer { unlink(file) }
        let machine = ["-M", "microvm", "-m", "32", "-global", "migration.send-configuration=off"]
        try await QEMU.run(machine) { qemu in
            #expect(try await qemu.monitor.run(.queryMigration, until: .soon).state == nil)
            try await qemu.monitor.run(.setMigrationCapabilities(["events": true]), until: .soon)
            try await qemu.monitor.run(.setMigrationParameters(["max-bandwidth": 1_000_000_000]), until: .soon)
            try await qemu.monitor.run(.stop, until: .soon)
            try await qemu.monitor.run(.saveDevices(to: file), until: .soon)
            var position = qemu.monitor.position
            try await qemu.monitor.run(.migrate(to: "exec:exit 3"), until: .soon)
            while true {
                let event = try await qemu.monitor.event([.migration], from: &position, until: .soon)
                if event.data["status"]?.string == "failed" { break }
            }
            #expect(try await qemu.monitor.run(.queryMigration, until: .soon).state == "failed")
            #expect(await qemu.refusal(.queryBalloon) != nil)
            #expect(await qemu.refusal(.balloon(to: 1 << 24)) != nil)
        }
        try await QEMU.run(machine + ["-incoming", "defer"]) { qemu in
            try await qemu.monitor.run(.setMigrationCapabilities(["events": true]), until: .soon)
            let state = try FileDescriptor.open(file, O_RDONLY)
            try await qemu.monitor.run(.passDescriptor(state, as: "state"), until: .soon)
            var position = qemu.monitor.position
            try await qemu.monitor.run(.migrateIncoming(from: "fd:state"), until: .soon)
            while true {
                let event = try await qemu.monitor.event([.migration], from: &position, until: .soon)
                if event.data["status"]?.string == "completed" { break }
            }
            #expect(try await qemu.monitor.run(.queryStatus, until: .soon).state == "paused")
        }
    }

    @Test func `a start that was held goes on`() async throws {
        try await QEMU.run(["-M", "microvm", "-preconfig", "-m", "32"]) { qemu in
            #expect(try await qemu.monitor.run(.queryStatus, until: .soon).state == "prelaunch")
            let memory = qemu.directory + "/memory"
            let file = try FileDescriptor.open(memory, O_RDWR | O_CREAT, mode: 0o600)
            try #require(ftruncate(file.raw, 32 << 20) == 0)
            try await qemu.monitor.run(
                .addMemoryFile("m", path: memory, size: 32 << 20, isShared: false), until: .soon)
            try await qemu.monitor.run(
                .setProperty("memory-backend", of: "/machine", to: "m"), until: .soon)
            try await qemu.monitor.run(.exitPreconfig, until: .soon)
            #expect(try await qemu.monitor.run(.queryStatus, until: .soon).state == "prelaunch")
        }
    }
}

import Foundation
import Glibc
import Isolation
import IsolationMicroVM
import IsolationShim
import LinuxSystem
import Logging
import SandboxModel
import Testing

@testable import SandboxStorage

/// A driver on folders of its own, all removed at the end; the end checks that nothing is left.
final class MachineFixture: Sendable {
    struct Monitor {
        var execution: ExecutionID?
        var pid: Int32
        var user: UInt32
    }

    let directory = "/tmp/njt-\(randomToken(8))"
    let configuration: MicroVMConfiguration
    let driver: MicroVMDriver

    private init() throws {
        var logger = Logger(label: "test")
        logger.logLevel = .warning
        let kernels = URL(fileURLWithPath: Host.kernel).deletingLastPathComponent().path
        configuration = MicroVMConfiguration(
            runDirectory: directory + "/run", kernelsDirectory: kernels, shimPath: JailHost.shim,
            initPath: Host.initBinary, qemuPath: Host.qemu, logger: logger,
            cgroupParent: "nightjar-test/\(randomToken(8))")
        driver = MicroVMDriver(configuration: configuration)
        let files = FileManager.default
        for path in ["run", "template/bin", "template/etc", "layers"] {
            try files.createDirectory(atPath: "\(directory)/\(path)", withIntermediateDirectories: true)
        }
        try files.copyItem(atPath: Host.busybox, toPath: directory + "/template/bin/busybox")
        for name in ["sh", "cat", "echo", "head", "hostname", "id", "sleep", "sync", "true"] {
            try files.createSymbolicLink(atPath: "\(directory)/template/bin/\(name)", withDestinationPath: "busybox")
        }
        try Data("root:x:0:0:root:/:/bin/sh\n".utf8).write(to: URL(fileURLWithPath: directory + "/template/etc/passwd"))
    }

    static func with(_ body: (MachineFixture) async throws -> Void) async throws {
        let fixture = try MachineFixture()
        do {
            try await body(fixture)
            fixture.expectNothingLeft()
        } catch {
            await fixture.remove()
            throw error
        }
        await fixture.remove()
    }

    /// As the next server makes it.
    func nextDriver(_ change: (inout MicroVMConfiguration) -> Void = { _ in }) -> MicroVMDriver {
        var changed = configuration
        change(&changed)
        return MicroVMDriver(configuration: changed)
    }

    /// A machine with a fresh layer.
    func request() async throws -> StartRequest {
        let layer = "\(directory)/layers/\(randomToken(8)).img"
        try await LayerImage(prototypes: directory + "/layers").make(layer, mebibytes: 128, durable: false)
        return StartRequest(
            sandbox: SandboxID(), execution: ExecutionID(),
            root: SandboxRoot(
                lower: [directory + "/init", directory + "/template"], layer: .image(path: layer, place: directory),
                volatile: true, fresh: true),
            hostname: "box", limits: ResourceLimits(memoryMiB: 256, cpus: 1))
    }

    /// The same sandbox's next start.
    func again(_ request: StartRequest) -> StartRequest {
        var next = request
        next.execution = ExecutionID()
        return next
    }

    private var slots: [ShimSlot] {
        ((try? ShimSlot.recorded(in: configuration.runDirectory + "/vm")) ?? []).map { id in
            let layout = CgroupLayout.current()
            let cgroup = layout.obstacle == nil ? Cgroup("\(configuration.cgroupParent)/\(id)", layout: layout) : nil
            return ShimSlot(id, in: configuration.runDirectory + "/vm", cgroup: cgroup)
        }
    }

    /// The processes that run machines.
    func monitors() throws -> [Monitor] {
        try slots.map { slot in
            let pids = try TextFile.read(slot.directory + "/pids").split(separator: "\n").compactMap {
                $0.split(separator: " ").first.flatMap { Int32($0) }
            }
            let pid = try #require(pids.last)
            var status = stat()
            #expect(stat("/proc/\(pid)", &status) == 0)
            let line = try TextFile.read("/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("Uid:") }
            let user = try #require(line?.split(separator: "\t").dropFirst().first.flatMap { UInt32($0) })
            return Monitor(execution: slot.assignment, pid: pid, user: user)
        }
    }

    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(slots.isEmpty, sourceLocation: sourceLocation)
        let left = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { pid in
            guard Int32(pid) != nil, let command = try? TextFile.bytes("/proc/\(pid)/cmdline") else { return false }
            return String(decoding: command, as: UTF8.self).contains(directory)
        }
        #expect(left == [], sourceLocation: sourceLocation)
        for group in Cgroup(configuration.cgroupParent, layout: .current()).directories {
            #expect(access(group, F_OK) != 0, "\(group)", sourceLocation: sourceLocation)
        }
    }

    private func remove() async {
        for slot in slots { try? await slot.remove() }
        try? TreeRemoval.remove(directory)
    }
}

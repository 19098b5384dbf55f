import Foundation
import Glibc
import GuestClient
import LinuxSystem
import Logging
import SandboxModel
import Testing
import Wire

@testable import SandboxStorage

/// Where the programs under test are, and whether this machine can run them.
enum Host {
    static let qemu = "/usr/bin/qemu-system-x86_64"
    static let mke2fs = "/usr/sbin/mke2fs"
    static let busybox = "/bin/busybox"
    static let kernel: String = {
        let templates = getenv("NIGHTJAR_TEST_TEMPLATES").map { String(cString: $0) } ?? "/var/lib/nightjar/templates"
        return URL(fileURLWithPath: templates).deletingLastPathComponent().path + "/kernels/current"
    }()
    static let initBinary: String = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let set = getenv("NIGHTJAR_TEST_BIN").map { String(cString: $0) }
        return [set, package + "/.build-guest/release", package + "/out/debug"].compactMap { $0 }
            .map { $0 + "/nightjar-init" }.first { access($0, X_OK) == 0 } ?? package + "/out/debug/nightjar-init"
    }()

    static let isReady: Bool = {
        let programs: [String] = [qemu, mke2fs, busybox, initBinary]
        return getuid() == 0 && programs.allSatisfy { access($0, X_OK) == 0 }
            && access(kernel + "/vmlinux", R_OK) == 0
    }()
    static let reason: Comment =
        "needs root, qemu-system-x86, e2fsprogs, busybox-static, the built guest programs and `make kernel`"
}

/// An emulated machine with the real kernel and init, a template of busybox and a layer of its own.
final class BootedMachine: Sendable {
    static let root = "/tmp"
    let directory: String
    let process: ChildProcess
    private let hostEnd: FileDescriptor

    var layer: String { directory + "/layer.img" }
    private var console: String { directory + "/console" }

    /// Files that machines share, or that one leaves to the next.
    struct Disks {
        let directory: String

        init() async throws {
            directory = "\(BootedMachine.root)/njt-\(randomToken(8))"
            let files = FileManager.default
            let tree = directory + "/template"
            for path in ["bin", "etc", "usr/bin", "tmp", "opt"] {
                try files.createDirectory(atPath: "\(tree)/\(path)", withIntermediateDirectories: true)
            }
            try files.copyItem(atPath: Host.busybox, toPath: tree + "/bin/busybox")
            for name in ["sh", "cat", "cp", "date", "dd", "echo", "id", "ls", "rm", "sleep", "stty", "tail", "true"] {
                try files.createSymbolicLink(atPath: "\(tree)/bin/\(name)", withDestinationPath: "busybox")
            }
            try Data("root:x:0:0:root:/:/bin/sh\n".utf8).write(to: URL(fileURLWithPath: tree + "/etc/passwd"))
            try await format(tree, directory + "/template.img")
            try await LayerImage(prototypes: directory).make(layer, mebibytes: 128, durable: false)
            try initramfs()
        }

        var layer: String { directory + "/layer.img" }

        private func format(_ tree: String, _ image: String) async throws {
            let options = ["-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0"]
            let arguments = options + ["-d", tree, image, "16m"]
            let output = try await ChildProcess.run(
                ChildCommand(Host.mke2fs, arguments), until: .now + .seconds(60))
            try #require(output.exit.isSuccess, "\(output.complaint)")
        }

        /// The kernel's modules, and the init in an archive of its own after them.
        private func initramfs() throws {
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: Host.kernel + "/modules.cpio")))
            let binary = [UInt8](try Data(contentsOf: URL(fileURLWithPath: Host.initBinary)))
            Self.append("init", mode: 0o100755, binary, to: &bytes)
            Self.append("TRAILER!!!", mode: 0, [], to: &bytes)
            try Data(bytes).write(to: URL(fileURLWithPath: directory + "/initrd"))
        }

        private static func append(_ name: String, mode: UInt32, _ data: [UInt8], to bytes: inout [UInt8]) {
            let fields: [UInt32] = [
                1, mode, 0, 0, 1, 0, UInt32(data.count), 0, 0, 0, 0, UInt32(name.utf8.count + 1), 0,
            ]
            bytes += Array("070701".utf8) + fields.flatMap { Array(String(format: "%08X", $0).utf8) }
            bytes += Array(name.utf8) + [0]
            while bytes.count % 4 != 0 { bytes.append(0) }
            bytes += data
            while bytes.count % 4 != 0 { bytes.append(0) }
        }

        /// Disks of another machine's own that hold the same.
        func copy() throws -> Disks {
            let copy = Disks(directory: "\(BootedMachine.root)/njt-\(randomToken(8))")
            let files = FileManager.default
            try files.createDirectory(atPath: copy.directory, withIntermediateDirectories: true)
            for name in ["template.img", "layer.img", "initrd"] {
                try files.copyItem(atPath: "\(directory)/\(name)", toPath: "\(copy.directory)/\(name)")
            }
            return copy
        }

        private init(directory: String) { self.directory = directory }

        func remove() { try? FileManager.default.removeItem(atPath: directory) }
    }

    init(_ disks: Disks, withLayer: Bool = true, restoring state: String? = nil) throws {
        directory = disks.directory
        let (host, guest) = try FileDescriptor.socketPair()
        hostEnd = host
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        let console = try FileDescriptor.open(disks.directory + "/console", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        var devices = [
            "-drive", "if=none,id=template,file=\(directory)/template.img,format=raw,readonly=on", "-device",
            "virtio-blk-device,drive=template,serial=template",
        ]
        if withLayer {
            devices += [
                "-drive", "if=none,id=layer,file=\(directory)/layer.img,format=raw,discard=unmap,cache=unsafe",
                "-device", "virtio-blk-device,drive=layer,serial=layer",
            ]
        }
        if let state { devices += ["-incoming", "exec:cat \(state)"] }
        let command = ChildCommand(Host.qemu, Self.machine(disks.directory) + devices)
        process = try withExtendedLifetime((null, console, guest)) {
            try ChildProcess.spawn(command, descriptors: [null.raw, console.raw, console.raw, guest.raw])
        }
    }

    private static func machine(_ directory: String) -> [String] {
        let rate = TimestampCounter.kilohertz() ?? 0
        return [
            "-M", "microvm,acpi=on,pic=off,pit=off", "-accel", "tcg,tb-size=64", "-cpu", "max", "-m", "256",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-chardev",
            "stdio,id=console,signal=off", "-serial", "chardev:console", "-kernel", Host.kernel + "/vmlinux", "-initrd",
            directory + "/initrd", "-append",
            "console=ttyS0 quiet reboot=t panic=-1 tsc_early_khz=\(rate) no_timer_check tsc=reliable "
                + "random.trust_cpu=on mitigations=off nokaslr audit=0 cryptomgr.notests no5lvl",
            "-chardev", "socket,id=channel,fd=3", "-device", "virtio-serial-device,max_ports=2", "-device",
            "virtserialport,chardev=channel,name=nightjar", "-monitor", "unix:\(directory)/monitor,server=on,wait=off",
        ]
    }

    /// A session with the init; a former one must be closed.
    func session() async throws -> GuestSession {
        let descriptor = try hostEnd.duplicate()
        do {
            return try await GuestSession.open(
                descriptor: descriptor.take(), deadline: .seconds(120), logger: Logger(label: "test"))
        } catch {
            Issue.record("no session: \(error); the console says: \(said)")
            throw error
        }
    }

    /// Saves the machine's memory and devices into a file; it does not run afterwards.
    func save(to file: String) async throws {
        let socket = try UnixSocket.connect(directory + "/monitor")
        defer { socket.close() }
        var said = ""
        for command in ["migrate_set_parameter max-bandwidth 4G", "migrate \"exec:cat >\(file)\"", "info status"] {
            try await socket.send(Array("\(command)\n".utf8), until: .now + .seconds(10))
        }
        while !said.contains("postmigrate") {
            let part = try await socket.receive(until: .now + .seconds(60)).bytes
            try #require(!part.isEmpty, "\(said)")
            said += String(decoding: part, as: UTF8.self)
        }
    }

    /// What the kernel and the init wrote.
    var said: String {
        (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: console)), as: UTF8.self)) ?? ""
    }

    /// The machine's own end.
    func off(within limit: Duration) async throws -> ChildExit { try await process.wait(until: .now + limit) }

    /// Runs a test with such disks, and removes them.
    static func withDisks(_ body: (Disks) async throws -> Void) async throws {
        let disks = try await Disks()
        defer { disks.remove() }
        try await body(disks)
    }

    /// Runs a test with a machine, which is not left running.
    static func run(
        _ disks: Disks, withLayer: Bool = true, restoring state: String? = nil,
        _ body: (BootedMachine) async throws -> Void
    ) async throws {
        let machine = try BootedMachine(disks, withLayer: withLayer, restoring: state)
        do {
            try await body(machine)
        } catch {
            _ = await machine.process.stop(grace: .zero)
            throw error
        }
        _ = await machine.process.stop(grace: .zero)
    }
}

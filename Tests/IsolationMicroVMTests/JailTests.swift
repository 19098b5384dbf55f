import Foundation
import IsolationShim
import LinuxSystem
import SandboxModel
import Shim
import Testing

/// The place that a monitor of virtual machines runs in, with the real monitor and with one that was taken over.
@Suite(.serialized, .enabled(if: JailHost.isReady, JailHost.reason), .timeLimit(.minutes(2)))
struct JailTests {
    private var soon: ContinuousClock.Instant { .now + .seconds(20) }

    /// A machine that is never started, with the descriptors that the shim gives its monitor.
    private func monitor(_ machine: String, _ more: [String] = []) -> [String] {
        [
            JailHost.qemu, "-M", machine, "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-S",
            "-m", "32", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-chardev", "socket,id=monitor,fd=4,server=on,wait=off", "-mon", "chardev=monitor,mode=control",
            "-chardev", "socket,id=channel,fd=3", "-chardev", "stdio,id=console,signal=off",
        ] + more
    }

    private func control(_ slot: ShimSlot) async throws -> LineConnection {
        let connection = LineConnection(try UnixSocket.connect(slot.directory + "/qmp.sock"))
        #expect(try await connection.next().contains("QMP"))
        #expect(try await connection.execute("qmp_capabilities").contains("return"))
        return connection
    }

    private func node(_ name: String, readOnly: Bool) -> String {
        #"{"driver":"file","node-name":"\#(name)","filename":"/\#(name)","read-only":\#(readOnly)}"#
    }

    @Test func `a monitor uses the files that it is given, before and after its jail is sealed`() async throws {
        try await JailFixture.with { fixture in
            let devices = [
                "-device", "virtio-serial-device", "-device", "virtserialport,chardev=channel,name=nightjar",
            ]
            let slot = try await fixture.start(
                monitor("microvm,acpi=on,pic=off,pit=off", devices + ["-serial", "chardev:console"]))
            let qmp = try await control(slot)
            #expect(await slot.isUnused())
            let status = JailFixture.status(try await slot.shim.information(until: soon).sandbox)
            #expect(status["Uid"] == "\(fixture.user)")
            #expect(status["Seccomp"] == "2")
            let (layer, template) = (try fixture.file("layer.img"), try fixture.file("template.img", mode: 0o644))
            try await slot.shim.attachFiles(
                [
                    ShimFile(path: layer, name: "layer", isWritable: true),
                    ShimFile(path: template, name: "template", isWritable: false),
                ], until: soon)
            #expect(try await qmp.execute("blockdev-add", node("layer", readOnly: false)).contains("return"))
            #expect(try await qmp.execute("blockdev-add", node("template", readOnly: true)).contains("return"))
            try await slot.shim.seal(until: soon)
            try await slot.shim.seal(until: soon)
            let late = try fixture.file("late.img")
            try await slot.shim.attachFiles([ShimFile(path: late, name: "late", isWritable: true)], until: soon)
            #expect(try await qmp.execute("blockdev-add", node("late", readOnly: false)).contains("return"))
            // It runs, and what it saves of itself arrives in a file that was put into the jail.
            #expect(try await qmp.execute("cont").contains("return"))
            try await Task.sleep(for: .milliseconds(200))
            #expect(try await qmp.execute("stop").contains("return"))
            let state = try fixture.file("state")
            try await slot.shim.attachFiles([ShimFile(path: state, name: "state", isWritable: true)], until: soon)
            let saved = try await qmp.execute("xen-save-devices-state", #"{"filename":"/state","live":false}"#)
            #expect(saved.contains("return"), "\(saved)")
            #expect(FileManager.default.contents(atPath: state)?.starts(with: [0x51, 0x45, 0x56, 0x4D]) == true)
            let information = try await slot.shim.information(until: soon)
            #expect(information.isSealed)
            #expect(information.files == ["layer": true, "template": false, "late": true, "state": true])
            #expect(information.state == "attached")
            async let ending = slot.shim.ended()
            #expect(try await qmp.execute("quit").contains("return"))
            #expect(try await ending.code == 0)
            try await slot.remove()
        }
    }

    @Test func `a monitor that waits for its machine can be sealed and ended`() async throws {
        try await JailFixture.with { fixture in
            let slot = try await fixture.start(monitor("none", ["-preconfig"]))
            let qmp = try await control(slot)
            try await slot.shim.seal(until: soon)
            #expect(try await qmp.execute("query-status").contains("prelaunch"))
            let information = try await slot.shim.information(until: soon)
            #expect(information.state == "created" && information.isSealed && information.files.isEmpty)
            async let ending = slot.shim.ended()
            kill(information.sandbox, SIGKILL)
            #expect(try await ending.code == 137)
            #expect(try TextFile.read(slot.directory + "/exit.json") == "{\"code\":137,\"oom\":false}\n")
            await #expect(throws: SandboxError.self) {
                try await slot.shim.attachFiles(
                    [ShimFile(path: try fixture.file("late"), name: "late", isWritable: true)], until: soon)
            }
            try await slot.remove()
        }
    }

    @Test func `whoever takes the monitor's place reaches nothing but its sandbox's files`() async throws {
        try await JailFixture.with { fixture in
            let slot = try await fixture.start(JailProbe.command, environment: ["NIGHTJAR=1"])
            let disk = try fixture.file("disk", mode: 0o644)
            let database = try fixture.file("database", mode: 0o666)
            let listener = try Listener()
            try await slot.shim.attachFiles(
                [
                    ShimFile(path: try fixture.file("layer.img"), name: "layer", isWritable: true),
                    ShimFile(path: try fixture.file("template.img", mode: 0o644), name: "template", isWritable: false),
                ], until: soon)
            let information = try await slot.shim.information(until: soon)
            let question = JailProbe.Question(
                paths: [
                    disk, database, "/etc/shadow", "/etc/passwd", "/proc/1/root", "/proc/self/mem", "/sys/kernel",
                    "/dev/kvm", "/dev/mem", slot.directory + "/shim.log", "/../../etc/passwd", "/usr/bin/made",
                ],
                sockets: [slot.directory + "/shim.sock", slot.directory + "/qmp.sock", "/run/nightjar/nightjar.sock"],
                abstract: listener.name, port: listener.port, pids: [try #require(slot.process), getpid(), 2],
                writable: "layer", readable: "template")
            let connection = LineConnection(try await slot.shim.channel(until: soon))
            let before = try await ask(question, over: connection)
            #expect(before.root.filter { !Self.programs.contains($0) } == ["dev", "layer", "template"])
            #expect(before.devices == ["null"])
            expectHeld(before, fixture, information.sandbox)

            try await slot.shim.seal(until: soon)
            let after = try await ask(question, over: connection)
            #expect(after.root == ["layer", "template"])
            #expect(after.devices == [])
            expectHeld(after, fixture, information.sandbox)
            try await slot.remove()
        }
    }

    /// Directories in which the host has programs and libraries.
    private static let programs: Set = ["bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr"]

    private func ask(_ question: JailProbe.Question, over connection: LineConnection) async throws -> JailProbe.Answer {
        try await connection.send(String(decoding: try JSONEncoder().encode(question), as: UTF8.self))
        return try JSONDecoder().decode(JailProbe.Answer.self, from: Data(try await connection.next().utf8))
    }

    private func expectHeld(_ answer: JailProbe.Answer, _ fixture: JailFixture, _ pid: Int32) {
        // The sandbox's own files are of use, or the rest would prove nothing.
        #expect(answer.writes == "done" && answer.reads == "done")
        #expect(answer.attempts.count > 60)
        let successes = answer.attempts.filter { $0.value == "done" || $0.value == "EFAULT" || $0.value == "ENOSYS" }
        #expect(successes == [:])
        for name in ["unshare user", "unshare mount", "mount", "unmount", "remount", "chroot", "setuid", "setgid"] {
            #expect(answer.attempts[name] == "EPERM", "\(name)")
        }
        #expect(answer.above == answer.root)
        #expect(answer.processes == [])
        #expect(Set(answer.users) == [fixture.user] && answer.groups == [])
        #expect(answer.pids == [1, 0])
        #expect(answer.descriptors == [0, 1, 2, 3, 4])
        #expect(answer.interfaces == ["lo"])
        #expect(answer.environment.filter { $0 != "LC_CTYPE" } == ["NIGHTJAR"])
        #expect(answer.host == "jail")
        let status = JailFixture.status(pid)
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(status[set].map { $0.allSatisfy { $0 == "0" } } == true, "\(set)")
        }
        #expect(status["NoNewPrivs"] == "1")
        for name in ["mnt", "net", "ipc", "uts", "pid", "cgroup"] {
            let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(name)")
            let its = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(name)")
            #expect(own != nil && its != nil && own != its, "\(name)")
        }
        #expect(access("/proc/\(pid)/pagemap", R_OK) == 0)
    }

    @Test func `what is no regular file, or has a name that is taken, is not put into a jail`() async throws {
        try await JailFixture.with { fixture in
            let slot = try await fixture.start(JailProbe.command)
            let (good, closed) = (try fixture.file("good"), try fixture.file("closed"))
            let fifo = fixture.directory + "/fifo"
            let link = fixture.directory + "/link"
            #expect(mkfifo(fifo, 0o666) == 0 && symlink(good, link) == 0)
            func attach(_ path: String, _ name: String, _ isWritable: Bool = true) async -> String? {
                let files = [
                    ShimFile(path: good, name: "first", isWritable: true),
                    ShimFile(path: path, name: name, isWritable: isWritable),
                ]
                do {
                    try await slot.shim.attachFiles(files, until: soon)
                    return nil
                } catch {
                    return "\((error as? SandboxError)?.cause ?? error)"
                }
            }
            for path in [fifo, link, fixture.directory, "/dev/null", "/dev/zero"] {
                #expect(await attach(path, "second")?.contains("not a regular file") == true, "\(path)")
            }
            #expect(await attach(fixture.directory + "/none", "second")?.contains("open") == true)
            #expect(await attach(closed, "second", false)?.contains("file mode") == true)
            for name in ["", ".", "..", ".hidden", "a/b", "/", "a\nb", String(repeating: "a", count: 65)] {
                #expect(await attach(closed, name)?.contains("malformed") == true, "\(name)")
            }
            for name in ["first", "usr", "dev"] {
                #expect(await attach(closed, name)?.contains("File exists") == true, "\(name)")
            }
            // Each time both or none.
            #expect(try await slot.shim.information(until: soon).files == [:])
            #expect(await attach(closed, "second") == nil)
            #expect(await attach(closed, "third")?.contains("first: File exists") == true)
            #expect(try await slot.shim.information(until: soon).files == ["first": true, "second": true])
            try await slot.remove()
        }
    }

    @Test func `a jail that cannot be made says at which step`() async throws {
        try await JailFixture.with { fixture in
            func failure(_ program: [String], user: UInt32? = nil, devices: [String] = []) async -> String {
                do {
                    try await fixture.start(program, user: user, devices: devices).remove()
                    return "none"
                } catch {
                    return "\((error as? SandboxError)?.cause ?? error)"
                }
            }
            #expect(await failure(["/usr/bin/none"]).contains("execute: No such file"))
            #expect(await failure([fixture.directory + "/none"]).contains("execute: No such file"))
            #expect(await failure(["/usr/bin/true"], devices: ["/dev/none"]).contains("/dev/none: No such file"))
            #expect(await failure(["/usr/bin/true"], devices: ["/dev/../etc/passwd"]).contains("device name"))
            #expect(await failure(["/usr/bin/true"], devices: ["/dev/mem"]).contains("/dev/mem"))
            #expect(await failure(["/usr/bin/true"], devices: ["/etc/passwd"]).contains("usage"))
            #expect(await failure(["/usr/bin/true"], user: 0).contains("usage"))
            #expect(await failure(["/usr/bin/true"]) == "none")
        }
    }

    @Test func `nothing outlives a shim that is killed, and a later server removes what it left`() async throws {
        try await JailFixture.with { fixture in
            let slot = try await fixture.start(monitor("none"))
            _ = try await control(slot)
            let pid = try await slot.shim.information(until: soon).sandbox
            kill(try #require(slot.process), SIGKILL)
            let deadline = ContinuousClock.now + .seconds(10)
            while ProcessFacts(pid: pid).map({ $0.state != "Z" }) == true, .now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(ProcessFacts(pid: pid).map { $0.state == "Z" } ?? true)
            #expect(try ShimSlot.recorded(in: fixture.slots) == [slot.id])
            await #expect(throws: SandboxError.self) { try await slot.shim.information(until: soon) }
            try await fixture.slot(slot.id).remove()
            fixture.expectNothingLeft()
            try await slot.remove()
        }
    }

    @Test func `a monitor that nothing was put into ends when its server is gone`() async throws {
        try await JailFixture.with { fixture in
            let idle = try await fixture.start(monitor("none"), patience: .seconds(1))
            let used = try await fixture.start(monitor("none"), patience: .seconds(1))
            try await used.shim.attachFiles(
                [ShimFile(path: try fixture.file("layer"), name: "layer", isWritable: true)], until: soon)
            for slot in [idle, used] { slot.dropLease() }
            let deadline = ContinuousClock.now + .seconds(10)
            while access(idle.directory, F_OK) == 0, .now < deadline { try await Task.sleep(for: .milliseconds(20)) }
            #expect(access(idle.directory, F_OK) != 0)
            try await Task.sleep(for: .seconds(2))
            #expect(try await used.shim.information(until: soon).state == "attached")
            try await idle.remove()
            try await used.remove()
        }
    }
}

/// What a process of the host listens on: a port of the loopback, and a Unix socket without a file.
private final class Listener {
    let name = "nightjar-\(randomToken(8))"
    private(set) var port = 0
    private let sockets: [Int32]

    init() throws {
        let unix = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let network = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        sockets = [unix, network]
        var place = sockaddr_un()
        place.sun_family = UInt16(AF_UNIX)
        withUnsafeMutableBytes(of: &place.sun_path) { $0[1...].copyBytes(from: name.utf8) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
        var address = sockaddr_in()
        address.sin_family = UInt16(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(unix, $0, length) }
        }
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(network, $0, size) + getsockname(network, $0, &size)
            }
        }
        try #require(bound == 0 && named == 0 && listen(unix, 8) == 0 && listen(network, 8) == 0)
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { for socket in sockets { close(socket) } }
}

import GuestClient
import LinuxSystem
import SandboxModel
import Testing
import Wire

/// The init as the first process of a machine: Debian's kernel, emulated, two disks and a port.
@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(10)))
struct GuestBootTests {
    private func shell(_ command: String) -> ProcessStart {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", command])
        start.environment = ["PATH": "/bin:/usr/bin"]
        start.directory = "/"
        start.timeoutMilliseconds = 60_000
        return start
    }

    private func run(_ session: GuestSession, _ command: String, input: [UInt8]? = nil) async throws -> String {
        let result = try await session.run(shell(command), input: input, outputLimit: 1 << 24)
        #expect(result.stderr.isEmpty, "\(command): \(String(decoding: result.stderr, as: UTF8.self))")
        return String(decoding: result.stdout, as: UTF8.self)
    }

    @Test func `a machine boots, works, turns itself off, and finds its files at the next start`() async throws {
        try await BootedMachine.withDisks { disks in
            try await BootedMachine.run(disks) { machine in
                let session = try await machine.session()
                try await looksLikeASandbox(session)
                try await carriesMuch(session)
                try await writesFiles(session)
                try await limits(session)
                try await hasAnIdentity(session)
                // The root of a machine may cover the init of its next start, which must not be what is started then.
                _ = try await run(session, "cp /bin/busybox /.nightjar/init && echo kept >/kept")
                try await session.shutdown(grace: .seconds(1))
                #expect(try await machine.off(within: .seconds(60)) == .code(0), "\(machine.said)")
                #expect(!machine.said.contains("not closed"), "\(machine.said)")
                await session.close()
            }
            try await isWhole(disks.layer)
            try await BootedMachine.run(disks) { machine in
                let session = try await machine.session()
                let kept = try await run(session, "cat /kept; ls /opt; cat /etc/machine-id")
                #expect(kept == "kept\nold\n\(Self.machineID)\n")
                #expect(try await run(session, "/.nightjar/init --version").hasPrefix("nightjar-init"))
                try await afterANewSession(machine, session)
            }
        }
    }

    @Test func `machines that are restored from one snapshot are not each other`() async throws {
        try await BootedMachine.withDisks { disks in
            let state = disks.directory + "/state"
            var clones: [BootedMachine.Disks] = []
            defer { for clone in clones { clone.remove() } }
            try await BootedMachine.run(disks) { machine in
                let session = try await machine.session()
                _ = try await run(session, "echo shared >/shared")
                _ = try await session.launch(shell("exec sleep 1000"))
                // What is on its way to a host that is not there any more must not confuse the next one.
                _ = try await session.start(shell("exec dd if=/dev/zero bs=65536 count=64"))
                try await machine.save(to: state)
                clones = [try disks.copy(), try disks.copy()]
                await session.close()
            }
            var seen: [[String]] = []
            for (number, clone) in clones.enumerated() {
                try await BootedMachine.run(clone, restoring: state) { machine in
                    seen.append(try await isItself(machine, number: UInt8(number + 1)))
                }
            }
            try #require(seen.count == 2)
            for (first, second) in zip(seen[0], seen[1]) { #expect(first != second) }
        }
    }

    /// What a restored machine that has been told who it is has of its own.
    private func isItself(_ machine: BootedMachine, number: UInt8) async throws -> [String] {
        let session = try await machine.session()
        try await session.addEntropy((0..<64).map { _ in UInt8.random(in: 0...255) })
        try await session.setIdentity([UInt8](repeating: number, count: 16))
        #expect(try await run(session, "cat /shared") == "shared\n")
        let processes = try await session.processes()
        #expect(processes.contains { $0.arguments.last == "exec sleep 1000" && $0.exit == nil }, "\(processes)")
        let random = "/proc/sys/kernel/random"
        let own = try await run(session, "cat /etc/machine-id \(random)/boot_id \(random)/uuid")
        let bytes = try await session.run(
            shell("dd if=/dev/urandom bs=16 count=1 2>/dev/null"), input: nil, outputLimit: 100)
        try await session.shutdown(grace: .zero)
        let end = try await machine.off(within: .seconds(60))
        #expect(end == .code(0))
        await session.close()
        return own.split(separator: "\n").map(String.init) + ["\(bytes.stdout)"]
    }

    @Test func `a machine that lacks a disk says so and turns itself off`() async throws {
        try await BootedMachine.withDisks { disks in
            try await BootedMachine.run(disks, withLayer: false) { machine in
                let end = try await machine.off(within: .seconds(120))
                #expect(end == .code(0))
                #expect(machine.said.contains("no device has the serial layer"), "\(machine.said)")
            }
        }
    }

    private func looksLikeASandbox(_ session: GuestSession) async throws {
        #expect(try await run(session, "echo one; id -u; cat /proc/sys/kernel/hostname") == "one\n0\nsandbox\n")
        let mounts = try await run(session, "cat /proc/mounts").split(separator: "\n")
        let places = [
            " / overlay rw", " /proc proc rw,nosuid,nodev,noexec", " /sys sysfs ro,nosuid,nodev,noexec",
            " /dev devtmpfs rw,nosuid", " /dev/pts devpts rw,nosuid,noexec",
            " /dev/shm tmpfs rw,nosuid,nodev,relatime,size=262144k",
            " /tmp tmpfs rw,nosuid,nodev,relatime,size=524288k", " /run tmpfs rw,nosuid,nodev,relatime,size=65536k",
        ]
        for place in places { #expect(mounts.contains { $0.contains(place) }, "\(place) in \(mounts)") }
        // Neither the disks nor the initramfs are to be seen beside them.
        #expect(mounts.count == places.count, "\(mounts)")
        #expect(try await run(session, "ls -d /modules /new /layers 2>/dev/null || true").isEmpty)
        #expect(try await run(session, "echo x | dd of=/dev/stdout 2>/dev/null") == "x\n")
        #expect(try await run(session, "cat /proc/sys/kernel/modules_disabled") == "1\n")
        // A deleted file that is in use stands in the way of gVisor's checkpoint, and of nothing here.
        let use = "sleep 100 >/opt/gone 2>&1 & until rm /opt/gone 2>/dev/null; do :; done"
        _ = try await run(session, "echo old >/opt/old; " + use)
        #expect(try await session.checkpointBlockers().isEmpty)
        // The kernel's own threads are nobody's processes.
        let table = try await session.processTable()
        #expect(table.contains { $0.pid == 1 } && table.count < 6, "\(table)")
        let metrics = try await session.metrics()
        #expect(metrics.processes == UInt32(table.count) && metrics.memoryTotalKiB > 100_000, "\(metrics)")
    }

    /// More than the port's queues hold, both ways at once.
    private func carriesMuch(_ session: GuestSession) async throws {
        let bytes = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let result = try await session.run(shell("cat"), input: bytes, outputLimit: 8 << 20)
        #expect(result.stdout == bytes)
    }

    private func writesFiles(_ session: GuestSession) async throws {
        let text = Array("in the layer".utf8)
        var write = FileWrite(path: Array("/root/deep/file".utf8))
        write.mode = 0o640
        let body = AsyncStream<[UInt8]> {
            $0.yield(text)
            $0.finish()
        }
        _ = try await session.write(write, body: body)
        let stream = try await session.read(Array("/root/deep/file".utf8), offset: 0, length: -1)
        var read: [UInt8] = []
        while let part = try await stream.next() { read += part }
        #expect(read == text)
        #expect(try await session.stat(Array("/root/deep/file".utf8), follow: true).mode & 0o777 == 0o640)
        var terminal = shell("stty size")
        terminal.terminal = .init(columns: 100, rows: 40)
        let result = try await session.run(terminal, input: nil, outputLimit: 100)
        #expect(String(decoding: result.stdout, as: UTF8.self).contains("40 100"))
    }

    private func limits(_ session: GuestSession) async throws {
        try await session.setLimits(ResourceLimits(memoryMiB: 256, pids: 40))
        #expect(try await run(session, "cat /run/.nightjar-limits/sandbox/pids.max").count > 2)
        let many = shell("i=0; while [ $i -lt 80 ]; do sleep 3 & i=$((i+1)); done; wait")
        let bounded = try await session.run(many, input: nil, outputLimit: 1 << 16)
        #expect(bounded.exit.code != 0 && bounded.exit.hits.contains(.processes), "\(bounded.exit)")
        // There may be no room for any other until these end.
        try await Task.sleep(for: .seconds(4))
        // Memory that no process frees: its kernel ends the process, and the machine goes on.
        let greedy = try await session.run(shell("exec tail /dev/zero"), input: nil, outputLimit: 1 << 16)
        #expect(greedy.exit.signal == 9 && greedy.exit.hits.contains(.memory), "\(greedy.exit)")
        #expect(try await run(session, "echo on") == "on\n")
        let full = try await session.run(
            shell("dd if=/dev/zero of=/tmp/full bs=1M count=200"), input: nil, outputLimit: 1 << 16)
        #expect(String(decoding: full.stderr, as: UTF8.self).contains("No space left"))
        _ = try await run(session, "rm /tmp/full")
    }

    private static let machineID = "0102030405060708090a0b0c0d0e0f10"

    private func hasAnIdentity(_ session: GuestSession) async throws {
        let nanoseconds: Int64 = 1_900_000_000_000_000_000
        try await session.setClock(unixNanoseconds: nanoseconds)
        let now = try await run(session, "date +%s")
        let seconds = Int64(now.dropLast()) ?? 0
        #expect((1_900_000_000...1_900_000_060).contains(seconds), "\(now)")
        try await session.setHostname("moth")
        #expect(try await run(session, "cat /proc/sys/kernel/hostname") == "moth\n")
        try await session.addEntropy([UInt8](repeating: 7, count: 256))
        let boot = "cat /proc/sys/kernel/random/boot_id"
        let kernels = try await run(session, boot)
        try await session.setIdentity([UInt8](1...16))
        let first = try await run(session, boot)
        #expect(first != kernels && first.split(separator: "-").map(\.count) == [8, 4, 4, 4, 13], "\(first)")
        try await session.setIdentity([UInt8](1...16))
        #expect(try await run(session, boot + " /etc/machine-id") == first + Self.machineID + "\n")
        try await session.setIdentity([UInt8](repeating: 9, count: 16))
        #expect(try await run(session, boot) != first)
        try await session.setIdentity([UInt8](1...16))
        await #expect(throws: SandboxError.self) { try await session.setIdentity([0]) }
    }

    /// The host's end changes hands in the middle of what is under way.
    private func afterANewSession(_ machine: BootedMachine, _ session: GuestSession) async throws {
        let flood = try await session.launch(shell("dd if=/dev/zero bs=65536 count=100 2>/dev/null"))
        let attached = try await session.attach(ProcessAttach(id: flood.id))
        _ = try await attached.next()
        await session.close()
        let again = try await machine.session()
        #expect(again.hello.boot == session.hello.boot)
        #expect(try await run(again, "echo again") == "again\n")
        #expect(try await again.wait(process: flood.id).code == 0)
        await again.close()
    }

    /// The file system was closed in order: there is nothing to recover.
    private func isWhole(_ image: String) async throws {
        let output = try await ChildProcess.run(
            ChildCommand("/usr/sbin/e2fsck", ["-f", "-n", image]), until: .now + .seconds(30))
        let said = String(decoding: output.output, as: UTF8.self) + output.complaint
        #expect(output.exit.isSuccess && !said.contains("recover"), "\(said)")
    }
}

import Foundation
import GuestClient
import Isolation
import IsolationShim
import LinuxSystem
import SandboxModel
import Testing
import Wire

@testable import IsolationGVisor

@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(5)))
struct IsolationTests {
    @Test(arguments: [true, false])
    func `root inside reaches neither the host's files nor its processes nor its network`(direct: Bool) async throws {
        try await Fixture.with(directFileAccess: direct) { fixture in
            let secret = fixture.directory + "/secret"
            try Data("top secret".utf8).write(to: URL(fileURLWithPath: secret))
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            #expect(
                try await execution.tryShell("cat \(secret) /proc/1/root\(secret) /../../..\(secret)").exit.code != 0)
            #expect(try await execution.shell("ls /").contains("bin"))
            #expect(!(try await execution.shell("ls /")).contains("lost+found"))
            let processes = try await execution.shell("ps")
            #expect(!processes.contains("runsc") && !processes.contains("nightjar-shim"))
            #expect(try await execution.tryShell("kill -9 \(getpid())").exit.code != 0)
            #expect(try await execution.tryShell("wget -T 2 -q -O - http://127.0.0.1:7575/").exit.code != 0)
            #expect(!(try await execution.shell("ip link")).contains("eth"))
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `the shared layers stay as they are whatever root does inside`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            _ = try await execution.shell("rm -rf /usr; echo mine > /etc/passwd; mkdir /new; mv /.nightjar /gone")
            #expect(try await execution.tryShell("ls /usr").exit.code != 0)
            try await fixture.driver.destroy(request.execution)
            #expect(
                try String(contentsOfFile: fixture.directory + "/template/usr/bin/marker", encoding: .utf8)
                    == "shared\n")
            #expect(
                try String(contentsOfFile: fixture.directory + "/template/etc/passwd", encoding: .utf8).hasPrefix(
                    "root:"))
            #expect(!FileManager.default.fileExists(atPath: fixture.directory + "/template/new"))
            #expect(FileManager.default.isExecutableFile(atPath: fixture.directory + "/init/.nightjar/init"))
            #expect(try String(contentsOfFile: request.root.upper + "/etc/passwd", encoding: .utf8) == "mine\n")
        }
    }

    @Test func `the sandbox process has no way to the host's file system`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let slot = try #require((execution as? GVisorExecution)?.slot)
            let information = try await slot.shim.information(until: .now + .seconds(5))
            let gofer = try #require(information.gofer)
            for pid in [information.sandbox, gofer] {
                #expect(try DirectoryListing.names("/proc/\(pid)/root").contains("home") == false)
                let status = try TextFile.read("/proc/\(pid)/status")
                #expect(status.contains("Seccomp:\t2"))
                // The systrap platform needs the host's process ids; its system call filter keeps it from using them.
                for space in ["mnt", "ipc", "net", "user"] {
                    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(space)")
                    let its = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(space)")
                    #expect(its != own, "\(space) of \(pid == information.gofer ? "gofer" : "sandbox")")
                }
            }
            let mounts = try TextFile.read("/proc/\(gofer)/mountinfo")
            #expect(mounts.contains("overlay") && mounts.contains("nosuid,nodev"))
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a guest over its memory ends alone and is reported as such`() async throws {
        try await Fixture.with { fixture in
            try #require(fixture.driver.layout != nil, "needs cgroups")
            let request = try fixture.request(limits: ResourceLimits(memoryMiB: 128, cpus: 1, pids: 100))
            let execution = try await fixture.driver.start(request)
            _ = try? await execution.tryShell(
                "mkdir /m; mount -t tmpfs none /m; while :; do dd if=/dev/zero of=/m/$RANDOM bs=1M count=50; done")
            let end = await execution.ended()
            #expect(end.outOfMemory)
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `usage is counted and the CPU bounded`() async throws {
        try await Fixture.with { fixture in
            try #require(fixture.driver.layout != nil, "needs cgroups")
            let request = try fixture.request(limits: ResourceLimits(memoryMiB: 256, cpus: 0.2, pids: 100))
            let execution = try await fixture.driver.start(request)
            let before = try await execution.stats()
            #expect(before.processes >= 2 && before.memoryBytes > 5 << 20)
            let start = ContinuousClock.now
            _ = try await execution.tryShell("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done")
            let elapsed = start.duration(to: .now) / .nanoseconds(1)
            let used = Double(try await execution.stats().cpuNanoseconds - before.cpuNanoseconds)
            #expect(used > 1e7)
            #expect(used < elapsed * 0.35 + 5e7)
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a flood on the init's standard error is bounded`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let slot = try #require((execution as? GVisorExecution)?.slot)
            _ = try await execution.tryShell("dd if=/dev/zero of=/proc/1/fd/2 bs=64k count=100")
            try await execution.guest.ping(deadline: .seconds(5))
            #expect(try DiskSpace.used(slot.directory) < 4 << 20)
            try await fixture.driver.destroy(request.execution)
        }
    }
}

import Foundation
import Glibc
import GuestClient
import Isolation
import IsolationShim
import LinuxSystem
import Logging
import SandboxModel
import Testing
import Wire

@testable import IsolationMicroVM

/// The driver with real machines: QEMU in its jail, Debian's kernel, emulated.
@Suite(.serialized, .enabled(if: Host.isReady && JailHost.isReady, Host.reason), .timeLimit(.minutes(10)))
struct DriverTests {
    private func output(_ session: GuestSession, _ command: String) async throws -> String {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", command])
        start.environment = ["PATH": "/bin:/usr/bin"]
        start.directory = "/"
        start.timeoutMilliseconds = 60_000
        let result = try await session.run(start, input: nil, outputLimit: 1 << 20)
        return String(decoding: result.stdout + result.stderr, as: UTF8.self)
    }

    @Test func `a machine starts, is paused, survives a server, ends, and finds its files again`() async throws {
        try await MachineFixture.with { fixture in
            let driver = fixture.driver
            let capabilities = await driver.capabilities()
            #expect(capabilities.run.available && capabilities.pause.available, "\(capabilities)")
            #expect(!capabilities.checkpoint.available && capabilities.tier == "microvm")
            let request = try await fixture.request()
            let execution = try await driver.start(request)
            #expect(try await output(execution.guest, "hostname; id -u; echo kept >/kept; sync") == "box\n0\n")
            #expect(try await output(execution.guest, "cat /proc/meminfo | head -n 1").contains("kB"))
            let usage = try await execution.stats()
            #expect(usage.cpuNanoseconds > 0 && usage.memoryBytes > 16 << 20 && usage.processes >= 1)

            try await pausesAndResumes(execution)
            let second = try await outlivesAServer(fixture, execution)
            // The later server ends what the former one started.
            try await second.destroy(execution.id)
            #expect(try await second.survivors().isEmpty)
            fixture.expectNothingLeft()

            let again = try await second.start(fixture.again(request))
            #expect(try await output(again.guest, "cat /kept") == "kept\n")
            async let end = again.ended()
            try await again.guest.shutdown(grace: .seconds(1))
            #expect(await end.code == 0)
            try await second.destroy(again.id)
        }
    }

    private func pausesAndResumes(_ execution: any Execution) async throws {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", "while :; do echo; sleep 0.1; done"])
        start.environment = ["PATH": "/bin"]
        start.directory = "/"
        _ = try await execution.guest.start(start)
        try await execution.pause()
        let before = try await execution.stats().cpuNanoseconds
        try await Task.sleep(for: .seconds(1))
        // Emulated, a shell that counts would use some 5 % of a second at the least.
        #expect(try await execution.stats().cpuNanoseconds - before < 20_000_000)
        try await execution.resume()
        #expect(try await output(execution.guest, "echo on") == "on\n")
    }

    /// A second driver on the same folders, as the next server has it.
    private func outlivesAServer(_ fixture: MachineFixture, _ execution: any Execution) async throws -> MicroVMDriver {
        try await execution.pause()
        await execution.guest.close()
        try #require(execution as? MicroVMExecution).slot.disconnect()
        let next = fixture.nextDriver()
        #expect(try await next.survivors() == [execution.id])
        let same = try await next.reattach(execution.id)
        #expect(try await output(same.guest, "cat /kept") == "kept\n")
        await #expect(throws: SandboxError.self) { try await next.reattach(ExecutionID()) }
        return next
    }

    @Test func `a machine whose monitor is killed has ended, and others go on`() async throws {
        try await MachineFixture.with { fixture in
            let driver = fixture.driver
            async let first = driver.start(try await fixture.request())
            async let second = driver.start(try await fixture.request())
            let (victim, other) = try await (first, second)
            let users = Set(try fixture.monitors().map(\.user))
            // Each runs as somebody of its own, who is nobody else on this host.
            #expect(users.count == 2 && users.allSatisfy { $0 >= 1_879_048_192 })
            async let end = victim.ended()
            let slot = try #require(try fixture.monitors().first { $0.execution == victim.id })
            kill(slot.pid, SIGKILL)
            #expect(await end.code == 137)
            await #expect(throws: SandboxError.self) { try await output(victim.guest, "true") }
            #expect(try await output(other.guest, "echo here") == "here\n")
            try await driver.destroy(victim.id)
            #expect(try await output(other.guest, "echo still") == "still\n")
            try await driver.destroy(other.id)
        }
    }

    @Test func `what a machine cannot have is refused before anything starts`() async throws {
        try await MachineFixture.with { fixture in
            var request = try await fixture.request()
            request.root.layer = .directories(upper: "/nowhere/upper", work: "/nowhere/work")
            await #expect { try await fixture.driver.start(request) } throws: {
                ($0 as? SandboxError)?.code == .unsupported
            }
            let without = fixture.nextDriver { $0.kernelsDirectory = "/nowhere" }
            let capabilities = await without.capabilities()
            #expect(!capabilities.run.available)
            #expect(capabilities.run.reason?.contains("There is no kernel") == true, "\(capabilities)")
            let restore = RestoreRequest(start: try await fixture.request(), checkpoint: "/nowhere")
            await #expect { try await fixture.driver.restore(restore) } throws: {
                ($0 as? SandboxError)?.code == .unsupported
            }
            fixture.expectNothingLeft()
        }
    }
}

import Foundation
import GuestClient
import Isolation
import LinuxSystem
import SandboxModel
import Testing
import Wire

@testable import IsolationGVisor

@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(5)))
struct CheckpointTests {
    /// Starts a process that counts in memory and appends each count to a file when it gets a line.
    private static let counter = "n=0; while read line; do n=$((n+1)); echo $n >> /count; echo $n; done"

    private func startCounter(_ execution: any Execution) async throws -> ProcessStream {
        var start = ProcessStart(arguments: ["/bin/sh", "-c", Self.counter])
        start.environment = ["PATH": "/bin"]
        start.input = .pipe
        return try await execution.guest.start(start)
    }

    private func count(_ stream: ProcessStream) async throws -> String {
        try await stream.write(Array("x\n".utf8))
        guard case .output(let bytes, _, _) = try await stream.next() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [(0, GVisorConfiguration.Control.socket), (2, .socket), (0, .commandLine)])
    func `memory and files go on after a checkpoint and a restore`(
        prewarm: Int, control: GVisorConfiguration.Control
    ) async throws {
        try await Fixture.with(control: control) { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await fixture.driver.run() }
                await fixture.driver.prewarm(prewarm)
                try await eventually("the pool fills") { fixture.driver.pool.count == prewarm }
                try await cycle(fixture, poolSize: prewarm)
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    private func cycle(_ fixture: Fixture, poolSize: Int) async throws {
        var request = try fixture.request()
        let upper = String(request.root.upper.dropLast("/upper".count))
        var execution = try await fixture.driver.start(request)
        var process: UInt32 = 0
        do {
            let stream = try await startCounter(execution)
            process = stream.info.id
            #expect(try await count(stream) == "1\n")
        }
        _ = try await execution.shell("dd if=/dev/urandom of=/dev/shm/memory bs=1M count=16 2>/dev/null")
        let hash = try await execution.shell("md5sum < /dev/shm/memory")
        for round in 2...4 {
            let image = try fixture.checkpointDirectory()
            try await execution.guest.quiesce(deadline: .seconds(5))
            try await execution.checkpoint(to: image)
            try await fixture.driver.destroy(request.execution)
            request = try fixture.request(upper: upper)
            execution = try await fixture.driver.restore(RestoreRequest(start: request, checkpoint: image))
            let stream = try await execution.guest.attach(ProcessAttach(id: process, offset: -1))
            #expect(try await count(stream) == "\(round)\n")
            #expect(try await execution.shell("md5sum < /dev/shm/memory") == hash)
            #expect(try await execution.shell("cat /count") == (1...round).map { "\($0)\n" }.joined())
        }
        try await fixture.driver.destroy(request.execution)
    }

    @Test func `a checkpointed sandbox is paused and can go on instead`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let image = try fixture.checkpointDirectory()
            try await execution.checkpoint(to: image)
            await #expect(throws: SandboxError.self) { try await execution.guest.ping(deadline: .milliseconds(300)) }
            try await execution.resume()
            try await execution.guest.ping(deadline: .seconds(5))
            #expect(try await execution.shell("echo on") == "on\n")
            try await execution.checkpoint(to: try fixture.checkpointDirectory())
            try await execution.resume()
            #expect(try await execution.shell("echo on") == "on\n")
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `pause and resume freeze and free the guest, and repeat`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            for _ in 0..<3 {
                try await execution.pause()
                try await execution.pause()
                await #expect(throws: SandboxError.self) {
                    try await execution.guest.ping(deadline: .milliseconds(100))
                }
                try await execution.resume()
                try await execution.resume()
                try await execution.guest.ping(deadline: .seconds(5))
            }
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a paused sandbox uses no CPU, and can be checkpointed, killed by force and destroyed`() async throws {
        try await Fixture.with { fixture in
            var request = try fixture.request()
            var execution = try await fixture.driver.start(request)
            try await execution.pause()
            try await standsStill(execution)
            try await execution.checkpoint(to: try fixture.checkpointDirectory())
            try await execution.pause()
            try await standsStill(execution)
            try await execution.resume()
            #expect(try await execution.shell("echo on") == "on\n")
            try await execution.pause()
            try await fixture.driver.destroy(request.execution)
            fixture.expectNothingLeft()

            request = try fixture.request()
            execution = try await fixture.driver.start(request)
            try await execution.pause()
            let slot = try #require((execution as? GVisorExecution)?.slot)
            let pids = try TextFile.read(slot.directory + "/pids")
            let shim = try #require(pids.split(separator: " ").first.flatMap { Int32($0) })
            #expect(kill(shim, SIGKILL) == 0)
            try await fixture.driver.destroy(request.execution)
            fixture.expectNothingLeft()
        }
    }

    /// The kernel takes a moment to freeze; from then on not a nanosecond may be added.
    private func standsStill(_ execution: any Execution) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let before = try await execution.stats().cpuNanoseconds
            try await Task.sleep(for: .milliseconds(300))
            if try await execution.stats().cpuNanoseconds == before { return }
            try #require(ContinuousClock.now < deadline, "a paused sandbox goes on using CPU")
        }
    }

    @Test func `a checkpoint that fails is reported and leaves no files`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            _ = try await execution.shell("(exec 5>/gone; rm /gone; sleep 100) >/dev/null 2>&1 </dev/null & sleep 0.2")
            let image = try fixture.checkpointDirectory()
            let error = await #expect(throws: SandboxError.self) { try await execution.checkpoint(to: image) }
            #expect(error?.code == .driverFailed)
            #expect(try DirectoryListing.names(image) == [])
            try await execution.resume()
            #expect(try await execution.shell("echo on") == "on\n")
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a restore of an image that is not whole fails and leaves nothing`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let image = try fixture.checkpointDirectory()
            try await execution.checkpoint(to: image)
            try await fixture.driver.destroy(request.execution)
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: image + "/checkpoint.img"))
            try handle.truncate(atOffset: 4096)
            let broken = RestoreRequest(start: try fixture.request(), checkpoint: image)
            await #expect(throws: SandboxError.self) { try await fixture.driver.restore(broken) }
            fixture.expectNothingLeft()
            try FileManager.default.removeItem(atPath: image + "/pages.img")
            await #expect(throws: SandboxError.self) { try await fixture.driver.restore(broken) }
            fixture.expectNothingLeft()
        }
    }
}

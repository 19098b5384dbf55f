import Foundation
import SandboxModel
import Testing

@testable import LinuxSystem

@Suite struct ChildProcessTests {
    private func spawn(_ script: String) throws -> ChildProcess {
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        return try ChildProcess.spawn(
            ChildCommand("/bin/sh", ["-c", script]), descriptors: [null.raw, null.raw, null.raw])
    }

    @Test func `a command's output and exit come back`() async throws {
        let result = try await ChildProcess.run(
            ChildCommand("/bin/sh", ["-c", "echo out; echo err >&2; exit 7"]), until: .now + .seconds(10))
        #expect(result.exit == .code(7))
        #expect(result.output == Array("out\n".utf8) && result.errors == Array("err\n".utf8))
        #expect(result.complaint == "err")
    }

    @Test func `output without end is bounded and its end kept`() async throws {
        let result = try await ChildProcess.run(
            ChildCommand(
                "/bin/sh", ["-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done; echo last"]),
            until: .now + .seconds(10), limit: 1000)
        #expect(result.output.count == 1000 && result.output.suffix(5) == Array("last\n".utf8))
    }

    @Test func `the environment and the descriptors are those that were named`() async throws {
        setenv("NJ_SECRET", "1", 1)
        let open = try FileDescriptor.open("/dev/null", O_RDONLY)
        _ = fcntl(open.raw, F_SETFD, 0)
        let result = try await ChildProcess.run(
            ChildCommand(
                "/bin/sh", ["-c", "env; ls /proc/self/fd"], environment: ["PATH": "/bin:/usr/bin", "A": "b"],
                directory: "/"),
            until: .now + .seconds(10))
        let text = String(decoding: result.output, as: UTF8.self)
        #expect(text.contains("A=b") && !text.contains("NJ_SECRET"))
        // ls itself opens the directory as descriptor 3.
        #expect(text.hasSuffix("0\n1\n2\n3\n"))
    }

    @Test func `a child ends by its signal and a deaf one is killed`() async throws {
        #expect(await (try spawn("sleep 100")).stop(grace: .seconds(5)) == .signal(SIGTERM))
        let deaf = try spawn("trap '' TERM; echo; while :; do sleep 0.05; done")
        try await Task.sleep(for: .milliseconds(100))
        let start = ContinuousClock.now
        #expect(await deaf.stop(grace: .milliseconds(150)) == .signal(SIGKILL))
        #expect(start.duration(to: .now) >= .milliseconds(150))
        #expect(ProcessFacts(pid: deaf.pid) == nil)
    }

    @Test func `several tasks wait for one child, and a deadline leaves it alone`() async throws {
        let child = try spawn("sleep 0.2; exit 3")
        let late = await #expect(throws: SandboxError.self) { try await child.wait(until: .now + .milliseconds(20)) }
        #expect(late?.code == .deadlineExceeded)
        async let first = child.wait()
        async let second = child.wait()
        #expect(try await first == .code(3))
        #expect(try await second == .code(3))
        #expect(try await child.wait() == .code(3))
    }

    @Test func `what runs too long is stopped`() async throws {
        let start = ContinuousClock.now
        await #expect(throws: SandboxError.self) {
            try await ChildProcess.run(ChildCommand("/bin/sleep", ["100"]), until: .now + .milliseconds(100))
        }
        #expect(start.duration(to: .now) < .seconds(60))
    }

    @Test func `a program that is not there is an error at once`() throws {
        #expect(throws: SystemError(ENOENT, "start", "/no/such")) {
            try ChildProcess.spawn(ChildCommand("/no/such"), descriptors: [])
        }
    }

    @Test func `facts tell a process from others`() throws {
        let facts = try #require(ProcessFacts(pid: getpid()))
        #expect(facts.parent == getppid() && facts.residentBytes > 1 << 20 && facts.startTime > 0)
        #expect(ProcessFacts(pid: 4_194_305) == nil)
    }
}

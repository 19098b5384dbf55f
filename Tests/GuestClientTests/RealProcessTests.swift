import GuestClient
import SandboxModel
import Testing
import Wire

/// The session against the real init.
@Suite(
    .enabled(if: RealInit.isAvailable, "needs root and a built nightjar-init (NIGHTJAR_INIT)"), .serialized,
    .timeLimit(.minutes(5)))
struct RealProcessTests {
    @Test func `a command runs with its environment, directory and user`() async throws {
        try await RealInit.with { _, session in
            var start = RealInit.shell("echo $GREETING; pwd; id -u; echo oops >&2; exit 3")
            start.environment["GREETING"] = "hello"
            start.directory = "/usr"
            start.user = "nobody"
            let result = try await session.run(start, input: nil, outputLimit: 1000)
            #expect(String(decoding: result.stdout, as: UTF8.self) == "hello\n/usr\n65534\n")
            #expect(String(decoding: result.stderr, as: UTF8.self) == "oops\n")
            #expect(result.exit.code == 3 && result.exit.signal == 0)
            #expect(session.openStreams == 0)
        }
    }

    @Test func `input larger than the window goes through a command and back`() async throws {
        try await RealInit.with { _, session in
            let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            let start = RealInit.shell("cat")
            let result = try await session.run(start, input: input, outputLimit: input.count)
            #expect(result.stdout == input)
            #expect(!result.stdoutTruncated)
            let cut = try await session.run(start, input: input, outputLimit: 1000)
            #expect(cut.stdout == Array(input.prefix(1000)))
            #expect(cut.stdoutTruncated)
        }
    }

    @Test func `what cannot run says why`() async throws {
        try await RealInit.with { _, session in
            var missing = ProcessStart(arguments: ["frobnicate"])
            missing.directory = "/"
            #expect(await code { _ = try await session.run(missing, input: nil, outputLimit: 1) } == .cannotExecute)
            var nobody = RealInit.shell("true")
            nobody.user = "no-such-user"
            #expect(await code { _ = try await session.run(nobody, input: nil, outputLimit: 1) } == .noSuchUser)
            #expect(await code { _ = try await session.wait(process: 4242) } == .processNotFound)
            #expect(await code { _ = try await session.attach(ProcessAttach(id: 4242)) } == .processNotFound)
            #expect(await code { try await session.signal(process: 4242, signal: 15, group: true) } == .processNotFound)
        }
    }

    @Test func `a process is fed, read, left, and found again by offset`() async throws {
        try await RealInit.with { guest, session in
            let stream = try await session.start(RealInit.fed("while read line; do echo got $line; done; exit 7"))
            try await stream.write(Array("one\n".utf8))
            #expect(try await text(stream, count: 8) == "got one\n")
            await stream.detach()
            await session.close()
            // Another server, later.
            let again = try await guest.session()
            #expect(again.hello.boot == session.hello.boot)
            let found = try await again.attach(ProcessAttach(id: stream.info.id, offset: 4))
            #expect(found.startOffset == 4)
            #expect(try await text(found, count: 4) == "one\n")
            try await found.write(Array("two\n".utf8))
            #expect(try await text(found, count: 8) == "got two\n")
            async let exit = again.wait(process: stream.info.id)
            try await found.closeInput()
            guard case .exited(let seen)? = try await found.next() else {
                Issue.record("no exit")
                return
            }
            #expect(seen.code == 7)
            #expect(try await exit == seen)
            #expect(try await again.wait(process: stream.info.id) == seen)
            await again.close()
        }
    }

    @Test func `a launched process runs alone and is listed, signalled and waited for`() async throws {
        try await RealInit.with { _, session in
            var start = RealInit.shell("sleep 1000 & wait")
            start.tag = "background"
            let info = try await session.launch(start)
            #expect(info.tag == "background" && info.exit == nil)
            #expect(session.openStreams == 0)
            #expect(try await session.processes().map(\.id) == [info.id])
            try await until { try await session.processTable().contains { $0.command.contains("sleep") } }
            try await session.signal(process: info.id, signal: 9, group: true)
            let exit = try await session.wait(process: info.id)
            #expect(exit.signal == 9 && exit.code == 137)
            let listed = try await session.processes()
            #expect(listed.first?.exit == exit)
        }
    }

    @Test func `a terminal has the size that it is given`() async throws {
        try await RealInit.with { _, session in
            var start = RealInit.shell("stty size; read x; stty size")
            start.terminal = .init(columns: 100, rows: 40)
            let stream = try await session.start(start)
            #expect(try await text(stream, count: 8) == "40 100\r\n")
            try await session.resize(process: stream.info.id, columns: 120, rows: 50)
            try await stream.write(Array("\n".utf8))
            var rest = ""
            while case .output(let bytes, _, _)? = try await stream.next() {
                rest += String(decoding: bytes, as: UTF8.self)
            }
            #expect(rest.contains("50 120"))
        }
    }

    @Test func `a process that nobody reads stalls nobody else`() async throws {
        try await RealInit.with { _, session in
            let stalled = try await session.start(RealInit.shell("head -c 10000000 /dev/zero"))
            for _ in 0..<20 {
                let result = try await session.run(
                    RealInit.shell("head -c 1000000 /dev/zero"), input: nil, outputLimit: 2_000_000)
                #expect(result.stdout.count == 1_000_000)
            }
            var count = 0
            while case .output(let bytes, _, _)? = try await stalled.next() { count += bytes.count }
            #expect(count == 10_000_000)
        }
    }

    @Test func `killing on detach follows a cancelled run`() async throws {
        try await RealInit.with { _, session in
            var start = RealInit.shell("sleep 1000")
            start.killOnDetach = true
            let running = Task { [start] in
                await code { _ = try await session.run(start, input: nil, outputLimit: 1) }
            }
            try await until { try await session.processes().first?.exit == nil }
            try await until { try await session.processes().count == 1 }
            running.cancel()
            #expect(await running.value == .cancelled)
            try await until { try await session.processes().first?.exit != nil }
        }
    }

    @Test func `a host that died in the middle of a frame is followed by another`() async throws {
        try await RealInit.with { guest, session in
            let process = try await session.launch(RealInit.shell("echo kept; sleep 1000"))
            await session.close()
            var half: [UInt8] = []
            var encoder = FrameEncoder()
            encoder.encode(Frame(.data, stream: 1, payload: [UInt8](repeating: 3, count: 60_000)), into: &half)
            guest.write(raw: Array(half.prefix(30_000)))
            let again = try await guest.session()
            let stream = try await again.attach(ProcessAttach(id: process.id))
            #expect(try await text(stream, count: 5) == "kept\n")
            await again.close()
        }
    }

    @Test func `a shut down guest ends the session`() async throws {
        let guest = try RealInit()
        let session = try await guest.session()
        _ = try await session.launch(RealInit.shell("sleep 1000"))
        try await session.remove(Array(guest.directory.utf8), recursive: true)
        try await session.shutdown(grace: .seconds(2))
        try await until { guest.hasEnded() }
        await session.close()
    }

    /// Output of the stream until it has `count` bytes.
    private func text(_ stream: ProcessStream, count: Int) async throws -> String {
        var all: [UInt8] = []
        while all.count < count {
            guard case .output(let bytes, _, _)? = try await stream.next() else { break }
            all += bytes
        }
        return String(decoding: all, as: UTF8.self)
    }
}

extension RealInit {
    /// A shell command with standard input.
    static func fed(_ command: String) -> ProcessStart {
        var start = shell(command)
        start.input = .pipe
        return start
    }
}

import Glibc
import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(
    .enabled(if: RealInit.isAvailable, "needs root and a built nightjar-init (NIGHTJAR_INIT)"), .serialized,
    .timeLimit(.minutes(5)))
struct RealFileTests {
    @Test func `files are written, read in parts, listed, changed and removed`() async throws {
        try await RealInit.with { guest, session in
            let root = guest.directory
            let path = bytes("\(root)/deep/er/file")
            let body = AsyncStream { continuation in
                for piece in ["hello ", "", "world"] { continuation.yield(Array(piece.utf8)) }
                continuation.finish()
            }
            let written = try await session.write(FileWrite(path: path), body: body)
            #expect(written.size == 11)
            let part = try await session.read(path, offset: 6, length: 3)
            #expect(try await contents(part) == Array("wor".utf8))
            try await session.changeMode(path, mode: 0o600, recursive: false)
            try await session.changeOwner(path, owner: "65534:65534", recursive: false)
            let info = try await session.stat(path, follow: true)
            #expect(info.mode == 0o600 && info.uid == 65534 && info.kind == .file)
            try await session.symlink(target: bytes("file"), path: bytes("\(root)/deep/er/link"), user: "")
            let link = try await session.stat(bytes("\(root)/deep/er/link"), follow: false)
            #expect(link.kind == .symlink && link.target == bytes("file"))
            try await session.makeDirectory(bytes("\(root)/a/b"), parents: true, mode: 0o755, user: "")
            try await session.move(from: path, to: bytes("\(root)/a/b/moved"), overwrite: false)
            var names: [String] = []
            for try await record in try await session.list(bytes(root), depth: 10) {
                if case .entry(let entry) = record { names.append(String(decoding: entry.path, as: UTF8.self)) }
            }
            #expect(names.sorted() == ["a", "a/b", "a/b/moved", "deep", "deep/er", "deep/er/link"])
            try await session.remove(bytes("\(root)/a"), recursive: true)
            #expect(await code { _ = try await session.stat(bytes("\(root)/a"), follow: true) } == .fileNotFound)
        }
    }

    @Test func `what the file system refuses has its code`() async throws {
        try await RealInit.with { guest, session in
            let root = guest.directory
            try await session.makeDirectory(bytes("\(root)/full/sub"), parents: true, mode: 0o755, user: "")
            let full = bytes("\(root)/full")
            #expect(await code { try await session.remove(full, recursive: false) } == .directoryNotEmpty)
            #expect(await code { _ = try await session.read(full, offset: 0, length: -1) } == .isADirectory)
            #expect(await code { _ = try await session.list(bytes("/etc/passwd"), depth: 1) } == .notADirectory)
            let again = await code { try await session.makeDirectory(full, parents: false, mode: 0o755, user: "") }
            #expect(again == .fileExists)
            #expect(await code { _ = try await session.stat(bytes("relative"), follow: true) } == .notApplicable)
        }
    }

    @Test func `a listing that nobody reads on stops with its stream`() async throws {
        try await RealInit.with { _, session in
            do {
                let listing = try await session.list(bytes("/usr"), depth: 64)
                _ = try await listing.next()
                #expect(session.openStreams == 1)
            }
            #expect(session.openStreams == 0)
            _ = try await session.metrics()
        }
    }

    @Test func `a watch tells what changes`() async throws {
        try await RealInit.with { guest, session in
            let watch = try await session.watch(bytes(guest.directory), recursive: true)
            try await session.makeDirectory(bytes("\(guest.directory)/new"), parents: false, mode: 0o755, user: "")
            guard case .event(let event)? = try await watch.next() else {
                Issue.record("no event")
                return
            }
            #expect(event.kind == .created && event.path == bytes("new"))
            watch.close()
            #expect(try await watch.next() == nil || session.openStreams == 0)
        }
    }

    @Test func `a write that is cut off leaves the file as it was`() async throws {
        struct Broken: Error {}
        try await RealInit.with { guest, session in
            let path = bytes("\(guest.directory)/file")
            let first = AsyncStream { continuation in
                continuation.yield(bytes("before"))
                continuation.finish()
            }
            _ = try await session.write(FileWrite(path: path), body: first)
            let broken = AsyncThrowingStream<[UInt8], any Error> { continuation in
                continuation.yield([UInt8](repeating: 0, count: 500_000))
                continuation.finish(throwing: Broken())
            }
            await #expect(throws: Broken.self) { _ = try await session.write(FileWrite(path: path), body: broken) }
            #expect(try await contents(try await session.read(path, offset: 0, length: -1)) == bytes("before"))
            // The half file is gone too, once the guest has heard of it.
            try await until {
                var count = 0
                for try await _ in try await session.list(bytes(guest.directory), depth: 1) { count += 1 }
                return count == 1
            }
        }
    }

    @Test func `a port inside is dialled, and each direction ends by itself`() async throws {
        try await RealInit.with { _, session in
            #expect(await code { _ = try await session.dial(port: 9) } == .connectionRefused)
            let server = try await session.launch(RealInit.python(echoServer))
            let tunnel = try await dial(session, port: 7070)
            let payload = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
            async let writing: Void = {
                try await tunnel.write(payload); try await tunnel.closeWrite()
            }()
            var got: [UInt8] = []
            for try await bytes in tunnel { got += bytes }
            try await writing
            #expect(got == payload)
            try await until { session.openStreams == 0 }
            try await session.signal(process: server.id, signal: 9, group: true)
        }
    }

    @Test func `a slow server inside gets all bytes although the host closes after its end`() async throws {
        try await RealInit.with { guest, session in
            let path = "\(guest.directory)/received"
            let server = try await session.launch(RealInit.python(slowSink(path)))
            let tunnel = try await dial(session, port: 7071)
            // The server ends its direction first, so that the host is the one that closes.
            #expect(try await tunnel.next() == nil)
            let payload = [UInt8](repeating: 5, count: 8_000_000)
            try await tunnel.write(payload)
            try await tunnel.closeWrite()
            _ = try await session.wait(process: server.id)
            let info = try await session.stat(bytes(path), follow: true)
            #expect(info.size == 8_000_000)
        }
    }

    @Test func `a host service is reached from inside`() async throws {
        try await RealInit.with { _, session in
            let offering = Task {
                try await session.offer([HostService(name: "upper", port: 7900)]) { name, tunnel in
                    try? await {
                        for try await bytes in tunnel { try await tunnel.write(bytes.map { $0 & 0xDF }) }
                        try await tunnel.closeWrite()
                    }()
                }
            }
            let command = "exec 3<>/dev/tcp/127.0.0.1/7900 && echo -n hello >&3 && head -c 5 <&3"
            var answer: [UInt8] = []
            try await until {
                answer = try await session.run(RealInit.shell(command), input: nil, outputLimit: 100).stdout
                return !answer.isEmpty
            }
            #expect(String(decoding: answer, as: UTF8.self) == "HELLO")
            offering.cancel()
            try await offering.value
            let later = try await session.run(RealInit.shell(command), input: nil, outputLimit: 100)
            #expect(later.exit.code != 0)
        }
    }

    @Test func `the guest tells of itself`() async throws {
        try await RealInit.with { _, session in
            let metrics = try await session.metrics()
            #expect(metrics.memoryTotalKiB > 0 && metrics.diskTotalKiB > 0)
            try await session.setHostname("moth")
            let name = try await session.run(RealInit.shell("hostname"), input: nil, outputLimit: 100)
            #expect(String(decoding: name.stdout, as: UTF8.self) == "moth\n")
            try await session.addEntropy([UInt8](repeating: 1, count: 64))
            _ = try await session.checkpointBlockers()
            try await session.quiesce(deadline: .seconds(10))
            try await session.ping(deadline: .seconds(10))
        }
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func contents(_ stream: FileReadStream) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await bytes in stream { all += bytes }
        return all
    }

    /// Dials once the server listens.
    private func dial(_ session: GuestSession, port: UInt16) async throws -> ByteTunnel {
        var tunnel: ByteTunnel?
        try await until {
            do {
                tunnel = try await session.dial(port: port)
                return true
            } catch let error as SandboxError where error.code == .connectionRefused { return false }
        }
        return try #require(tunnel)
    }

    private let echoServer = """
        import socket
        s = socket.create_server(("127.0.0.1", 7070))
        while True:
            c, _ = s.accept()
            while True:
                b = c.recv(65536)
                if not b: break
                c.sendall(b)
            c.close()
        """

    private func slowSink(_ path: String) -> String {
        """
        import socket, time
        s = socket.create_server(("127.0.0.1", 7071))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c, _ = s.accept()
        c.shutdown(socket.SHUT_WR)
        with open("\(path)", "wb") as f:
            while True:
                b = c.recv(65536)
                if not b: break
                f.write(b)
                time.sleep(0.001)
        """
    }
}

extension RealInit {
    static func python(_ program: String) -> ProcessStart {
        var start = ProcessStart(arguments: ["/usr/bin/python3", "-c", program])
        start.environment = ["PATH": "/usr/bin:/bin"]
        start.directory = "/"
        return start
    }
}

import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What goes wrong around the server: its processes, its disk, its database, its descriptors.
    @Suite(.enabled(if: TestEnvironment.runsLong)) struct HostFaults {
        @Test(.timeLimit(.minutes(2)))
        func `whichever process of a sandbox is killed, it is told, nothing is left, and its files are there`()
            async throws
        {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("victim")
                try await client.sh("victim", "echo kept > /workspace/file")
                for name in ["runsc-sandbox", "runsc-gofer", "nightjar-shim"] {
                    try kill(name, server)
                    let sandbox = try await client.state("victim", becomes: .stopped)
                    #expect(sandbox.problem?.code == .memoryLost, "\(name)")
                    #expect(try await client.sh("victim", "cat /workspace/file") == "kept", "\(name)")
                    _ = try await eventually("nothing is left of the former one, killed by its \(name)") {
                        try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                    }
                }
            }
        }

        @Test func `a checkpoint that kills the sandbox leaves its files, and no half of an image`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("victim")
                // It has slept before: that image is stale, and must not come back.
                let keeper = try await Keeper.start(client, "victim", mebibytes: 48)
                _ = try await client.standby("victim")
                _ = try await keeper.ask()
                try await client.sh("victim", "echo kept > /workspace/file")
                async let sleeping = code { _ = try await client.standby("victim") }
                _ = try await eventually("it is suspending") {
                    try await client.sandbox("victim").state == .suspending ? true : nil
                }
                try kill("runsc-sandbox", server)
                let told = await sleeping
                let sandbox = try await client.sandbox("victim")
                if told == nil {
                    // The image was whole before the blow.
                    #expect(sandbox.state == .standby)
                    #expect(try await keeper.ask().counter == 2)
                } else {
                    #expect(sandbox.state == .stopped)
                    #expect(sandbox.problem?.code == .memoryLost)
                }
                #expect(try await client.sh("victim", "cat /workspace/file") == "kept")
                _ = try await eventually("no image is left") {
                    try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `a full or read-only disk refuses what needs it, keeps what runs, and all goes on with space again`()
            async throws
        {
            let volume = try Volume(mebibytes: 400)
            defer { volume.remove() }
            try await TestServer.with(data: volume.path) { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()

                try volume.fill(leaving: 200)
                #expect(await code { _ = try await client.standby("one") } == .noSpace, "below the reserve")
                try volume.fill(leaving: 0)
                let full = try await client.run("one", "echo x > /workspace/x")
                #expect(full.exitCode != 0 && full.stderr.contains("No space left"))
                let creation = await code { _ = try await client.makeSandbox("two") }
                if creation == nil {
                    // The last bytes were enough for a record.
                    try await client.delete("two")
                } else {
                    #expect(creation == .noSpace || creation == .storeFailed, "\(creation as Any)")
                }
                #expect(try await keeper.ask().counter == 2, "what runs goes on")
                volume.empty()

                try volume.makeReadOnly(true)
                let standby = await code { _ = try await client.standby("one") }
                #expect(standby == .storeFailed || standby == .noSpace, "\(standby as Any)")
                #expect(try await keeper.ask().counter == 3, "what runs goes on")
                try volume.makeReadOnly(false)

                #expect(try await client.standby("one").state == .standby)
                #expect(try await keeper.ask().counter == 4)
                #expect(try await client.makeSandbox("two").state == .running)
            }
        }

        @Test func `a server says what is in the way of its start`() async throws {
            try await TestServer.with { server in
                // Another server, with the same data directory, then with the same run directory.
                let other = server.directory + "/other"
                let twice = try await server.serve(data: server.dataDirectory, run: other)
                #expect(twice.code != 0 && twice.error.contains("Another server uses the data directory"), "\(twice)")
                let socket = try await server.serve(data: other + "-data", run: server.runDirectory)
                #expect(socket.code != 0 && socket.error.contains("Another server listens on"), "\(socket)")
                #expect(try await server.client.health().status == "ok", "the first one is not disturbed")

                #expect(try await server.stop() == 0)
                let database = server.dataDirectory + "/nightjar.sqlite"
                let good = try Data(contentsOf: URL(fileURLWithPath: database))
                try Data(repeating: 0x58, count: 4096).write(to: URL(fileURLWithPath: database))
                let corrupt = try await server.serve(data: server.dataDirectory, run: server.runDirectory)
                #expect(corrupt.code != 0 && corrupt.error.contains("nightjar.sqlite"), "\(corrupt)")
                #expect(corrupt.error.contains("damaged"), "\(corrupt)")
                try good.write(to: URL(fileURLWithPath: database))
                try await server.start()
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func `while the store is locked changes are refused, and afterwards they work`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let script = """
                    import sqlite3, sys
                    store = sqlite3.connect(sys.argv[1], isolation_level=None)
                    store.execute("BEGIN IMMEDIATE")
                    print("locked", flush=True)
                    sys.stdin.read()
                    """
                let (input, output) = (Pipe(), Pipe())
                let holder = try ChildProgram(
                    "/usr/bin/python3", ["-c", script, server.dataDirectory + "/nightjar.sqlite"],
                    variables: TestEnvironment.childVariables, input: input.fileHandleForReading,
                    output: output.fileHandleForWriting, error: .standardError)
                #expect(output.fileHandleForReading.availableData == Data("locked\n".utf8))
                #expect(await code { _ = try await client.pause("one") } == .storeFailed)
                #expect(try await client.sandbox("one").state == .running, "as before")
                #expect(try await client.sh("one", "echo works") == "works", "what needs no record works")
                try input.fileHandleForWriting.close()
                _ = await holder.wait()
                #expect(try await client.pause("one").state == .paused)
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func `a server without descriptors refuses, and recovers when it has some`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let pid = try #require(server.pid)
                let used = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap { Int($0) }
                try await limitDescriptors(of: pid, to: "\((used.max() ?? 0) + 2)")
                let refused = await code { _ = try await client.makeSandbox("two") }
                #expect(refused != nil, "a sandbox cannot be made without descriptors")
                #expect(server.isRunning)
                try await limitDescriptors(of: pid, to: "65536")
                _ = try await eventually("it answers again") {
                    try? await client.sh("one", "echo works") == "works" ? true : nil
                }
                #expect(try await client.makeSandbox("two").state == .running)
                _ = try await eventually("nothing is left of the creation that failed") {
                    try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                }
            }
        }

        @Test func `a sleeper whose template is gone says so, and wakes when it is back`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                _ = try await client.standby("one")
                let template = server.dataDirectory + "/templates/base"
                try FileManager.default.moveItem(atPath: template, toPath: server.directory + "/base")
                for _ in 0..<2 {
                    #expect(await code { _ = try await client.resume("one") } == .templateNotFound)
                    #expect(try await client.sandbox("one").state == .standby, "its memory is kept")
                    try await server.restart()
                }
                try FileManager.default.moveItem(atPath: server.directory + "/base", toPath: template)
                #expect(try await keeper.ask().counter == 2)
            }
        }

        private func limitDescriptors(of pid: Int32, to limit: String) async throws {
            let result = try await ChildProgram.run(
                "/usr/bin/prlimit", ["--pid", "\(pid)", "--nofile=\(limit):65536"],
                variables: TestEnvironment.childVariables)
            guard result.code == 0 else { throw TestFailure("prlimit: \(result.error)") }
        }

        private func kill(_ name: String, _ server: TestServer) throws {
            let process = try #require(server.sandboxProcesses().first { $0.commandLine.contains(name) })
            #expect(Glibc.kill(process.pid, SIGKILL) == 0)
        }
    }
}

/// A small file system of its own, in memory.
private struct Volume {
    let path: String

    init(mebibytes: Int) throws {
        path = "\(TestEnvironment.temporary)/volume-\(UUID().uuidString.prefix(6))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else { throw TestFailure("mount: \(errno)") }
    }

    private var ballast: String { path + "/ballast" }

    /// Leaves so many MiB.
    func fill(leaving rest: Int) throws {
        empty()
        var status = statvfs()
        statvfs(path, &status)
        let bytes = Int(status.f_bfree) * Int(status.f_frsize) - rest << 20
        let file = open(ballast, O_WRONLY | O_CREAT, 0o600)
        defer { close(file) }
        guard posix_fallocate(file, 0, off_t(bytes)) == 0 else { throw TestFailure("the volume cannot be filled") }
    }

    func empty() { unlink(ballast) }

    func makeReadOnly(_ readOnly: Bool) throws {
        // What is in use for writing keeps a file system from becoming read-only, but not its mount.
        let flags = UInt(MS_REMOUNT) | UInt(MS_BIND) | (readOnly ? UInt(MS_RDONLY) : 0)
        guard mount("none", path, nil, flags, nil) == 0 else { throw TestFailure("remount: \(errno)") }
    }

    func remove() {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }
}

import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What a database that is locked or damaged, and another server, do to this one.
    @Suite struct StoreFaults {
        @Test(.timeLimit(.minutes(1)))
        func `two servers do not share a data or a run directory, and the first one is not disturbed`() async throws {
            try await TestServer.with { server in
                let other = server.directory + "/other"
                let twice = try await server.serve(data: server.dataDirectory, run: other)
                #expect(twice.code != 0 && twice.error.contains("Another server uses the data directory"), "\(twice)")
                let socket = try await server.serve(data: other + "-data", run: server.runDirectory)
                #expect(socket.code != 0 && socket.error.contains("Another server listens on"), "\(socket)")
                _ = try await server.client.makeSandbox("one")
                #expect(try await server.client.sh("one", "echo works") == "works")
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func `a server does not start on a damaged database, names it, and takes nothing away`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                #expect(try await server.stop() == 0)
                let database = URL(fileURLWithPath: server.dataDirectory + "/nightjar.sqlite")
                let good = try Data(contentsOf: database)
                var torn = good
                torn.replaceSubrange(4096..<8192, with: Data(repeating: 0x58, count: 4096))
                for (name, bad) in [("overwritten", Data(repeating: 0x58, count: good.count)), ("torn", torn)] {
                    try bad.write(to: database)
                    let refused = try await server.serve(data: server.dataDirectory, run: server.runDirectory)
                    #expect(refused.code != 0, "\(name)")
                    #expect(
                        refused.error.contains("nightjar.sqlite") && refused.error.contains("damaged"),
                        "\(name): \(refused.error)")
                }
                try good.write(to: database)
                try await server.start()
                #expect(try await keeper.ask().counter == 2)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `while the store is locked changes are refused in time, and what needs no record works`() async throws {
            try await TestServer.with { server in
                let client = server.client
                for name in ["one", "two"] { _ = try await client.makeSandbox(name) }
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                let lock = try await StoreLock(server)
                // As many at once as may wait for each other: none waits for the sum of all.
                let began = ContinuousClock.now
                let codes = await withTaskGroup(of: SandboxError.Code?.self) { group in
                    for index in 0..<12 {
                        group.addTask {
                            await code {
                                switch index % 3 {
                                case 0: _ = try await client.pause("one")
                                case 1: _ = try await client.standby("two")
                                default: _ = try await client.makeSandbox("new-\(index)")
                                }
                            }
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                let waited = ContinuousClock.now - began
                #expect(codes.allSatisfy { $0 == .storeFailed }, "\(codes)")
                #expect(waited < .seconds(20), "a write waits 5 s, and the others with it: \(waited)")
                #expect(try await client.allSandboxes().map(\.state) == [.running, .running], "as before")
                let answer = try await client.sandbox("one")
                #expect(answer.problem == nil)
                // It is known to be locked now.
                let again = ContinuousClock.now
                let told = await error { _ = try await client.pause("one") }
                #expect(told?.code == .storeFailed && told?.answer?.retryable == true, "\(told as Any)")
                #expect(ContinuousClock.now - again < .seconds(4))
                // A server that starts meanwhile gives nothing up.
                await server.kill()
                try server.launch()
                _ = try? await server.ready(within: .seconds(8))
                await lock.release()
                await server.kill()
                try await server.start()
                #expect(try await keeper.ask().counter == 2)
                #expect(try await client.pause("one").state == .paused)
                #expect(try await client.standby("two").state == .standby)
            }
        }

        /// What `body` fails with.
        private func error(of body: () async throws -> Void) async -> SandboxError? {
            do {
                try await body()
                return nil
            } catch {
                return error as? SandboxError
            }
        }
    }
}

/// Another program that has locked the database for writing.
private struct StoreLock {
    private let holder: ChildProgram
    private let input = Pipe()

    init(_ server: TestServer) async throws {
        let script = """
            import sqlite3, sys
            store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
            store.execute("BEGIN EXCLUSIVE")
            print("locked", flush=True)
            sys.stdin.read()
            """
        // Servers that are started meanwhile must not hold it open.
        for end in [input.fileHandleForReading, input.fileHandleForWriting] {
            _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
        }
        let output = server.directory + "/lock"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        guard let handle = FileHandle(forWritingAtPath: output) else { throw TestFailure("there is no \(output)") }
        holder = try ChildProgram(
            "/usr/bin/env", ["python3", "-c", script, server.dataDirectory + "/nightjar.sqlite"],
            variables: TestEnvironment.childVariables, input: input.fileHandleForReading, output: handle,
            error: .standardError)
        _ = try await eventually("the database is locked") {
            try String(contentsOfFile: output, encoding: .utf8) == "locked\n" ? true : nil
        }
    }

    func release() async {
        try? input.fileHandleForWriting.close()
        _ = await holder.wait()
    }
}

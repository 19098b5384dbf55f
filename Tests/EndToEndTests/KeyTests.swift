import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// Keys and their scopes, by TCP on a real server.
    @Suite(.timeLimit(.minutes(5))) struct KeyTests {
        @Test func `a key does what its scope says, and nothing more`() async throws {
            try await TestServer.with { server in
                let work = try await server.client.makeSandbox("work")
                _ = try await server.client.sh("work", "echo content > /home/file")
                let reader = try await server.client(with: .read)
                let writer = try await server.client(with: .write)

                #expect(try await reader.sandbox("work").id == work.id)
                #expect(try await reader.processes("work").isEmpty == false)
                #expect(await code { _ = try await reader.sh("work", "true") } == .forbidden)
                #expect(await code { _ = try await reader.standby("work") } == .forbidden)
                #expect(await code { _ = try await reader.delete("work") } == .forbidden)
                #expect(await code { _ = try await reader.create(SandboxSpec()) } == .forbidden)
                #expect(await code { _ = try await writer.keys() } == .forbidden)

                _ = try await writer.standby("work")
                // What needs the guest would wake it.
                #expect(await code { _ = try await reader.processes("work") } == .forbidden)
                #expect(try await reader.sandbox("work").state == .standby)
                #expect(try await writer.sh("work", "cat /home/file") == "content")
                #expect(try await reader.processes("work").isEmpty == false)
                await reader.close()
                await writer.close()
            }
        }

        @Test func `keys are managed on the command line, and outlive the server`() async throws {
            try await TestServer.with { server in
                let made = try await server.nightjar("key", "create", "--scope", "sandbox:read", "--label", "mine")
                #expect(made.code == 0)
                let secret = made.text.trimmingCharacters(in: .newlines)
                let key = try #require(try await server.client.keys().first { $0.label == "mine" })
                try await server.restart()
                let client = NightjarClient(
                    ClientConfiguration(
                        endpoint: .tcp(host: "127.0.0.1", port: try await server.port()), apiKey: secret))
                _ = try await client.allSandboxes()
                let listed = try await server.nightjar("key", "ls")
                #expect(listed.text.contains(key.id) && !listed.text.contains(secret))
                #expect(try await server.nightjar("key", "rm", key.id).code == 0)
                #expect(await code { _ = try await client.allSandboxes() } == .unauthorized)
                #expect(try await server.nightjar("key", "rm", key.id).code == 66)
                await client.close()
            }
        }

        @Test func `a data directory from before keeps its key`() async throws {
            try await TestServer.with { server in
                _ = try await server.stop()
                let old = "nj_\(String(repeating: "q7", count: 26))"
                let path = server.dataDirectory + "/api-key"
                try FileManager.default.removeItem(atPath: path)
                // As a version without a table of keys left it.
                try Data((old + "\n").utf8).write(to: URL(fileURLWithPath: path))
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
                try await server.start()
                let client = NightjarClient(
                    ClientConfiguration(endpoint: .tcp(host: "127.0.0.1", port: try await server.port()), apiKey: old))
                #expect(try await client.keys().map(\.id) == ["key_file"])
                await client.close()
            }
        }
    }
}

extension TestServer {
    /// The TCP port, from the line by which the server says that it is ready. It comes a little after the server answers
    /// on its socket; the line of the one before it does not count.
    func port() async throws -> Int {
        try await eventually("the log tells the port") {
            guard let line = lastLog().split(separator: "\n").first(where: { $0.contains("is ready") }),
                let match = line.firstMatch(of: /http:\/\/127\.0\.0\.1:([0-9]+)/)
            else { return nil }
            return Int(match.1)
        }
    }

    /// A client by TCP with a new key.
    func client(with scope: AccessScope) async throws -> NightjarClient {
        let key = try await client.createKey(KeyRequest(scopes: [scope]))
        return NightjarClient(
            ClientConfiguration(endpoint: .tcp(host: "127.0.0.1", port: try await port()), apiKey: key.secret))
    }
}

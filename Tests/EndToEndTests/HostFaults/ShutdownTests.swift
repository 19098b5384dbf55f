import Client
import Foundation
import Glibc
import LinuxSystem
import SandboxModel
import Testing

extension EndToEnd {
    /// How a server ends that is told to, and what it tells its service manager.
    @Suite struct Shutdowns {
        @Test(.timeLimit(.minutes(1)))
        func `a server that is told to end says so, answers what is under way, and waits for nobody else`()
            async throws
        {
            let manager = try Manager("\(TestEnvironment.temporary)/notify-\(UUID().uuidString.prefix(6))")
            defer { manager.close() }
            let more = ["NOTIFY_SOCKET": manager.name]
            try await TestServer.with(variables: { _ in more }) { server in
                let client = server.client
                #expect(try await manager.told().contains("READY=1"))
                _ = try await client.makeSandbox("one")
                // Who only listens, or has said nothing yet, is not waited for.
                let silent = try UnixSocket.connect(server.runDirectory + "/nightjar.sock")
                let follower = try ChildProgram(
                    "/usr/bin/curl",
                    ["-sN", "--unix-socket", "\(server.runDirectory)/nightjar.sock", "http://localhost/v1/events"],
                    variables: TestEnvironment.childVariables, output: .nullDevice, error: .nullDevice)
                let process = try await client.background("one", ["sh", "-c", "sleep 4; echo survived > /tmp/after"])
                async let answer = client.sh("one", "touch /tmp/begun; sleep 1.5; echo answered")
                try await client.sh("one", "until test -e /tmp/begun; do sleep 0.05; done")
                let began = ContinuousClock.now
                server.signal(SIGTERM)
                #expect(try await answer == "answered")
                #expect(await server.ended(within: .seconds(20)) == 0)
                let took = ContinuousClock.now - began
                #expect(took < .seconds(5), "nothing was under way any more: \(took)")
                #expect(try await manager.told().contains("STOPPING=1"))
                #expect(await follower.wait() == 0, "a stream ends in order")
                withExtendedLifetime(silent) {}
                #expect(!FileManager.default.fileExists(atPath: server.runDirectory + "/nightjar.sock"))
                #expect(server.processes().contains { $0.contains("runsc-sandbox") }, "sandboxes go on")
                try await server.start()
                let exit = try await client.wait("one", process.id, timeout: 30)
                #expect(exit.code == 0)
                #expect(try await client.sh("one", "cat /tmp/after") == "survived", "it went on meanwhile")
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func `what takes too long to end is cut off in time, and its process goes on`() async throws {
            let manager = try Manager("@\(TestEnvironment.temporary)/notify-\(UUID().uuidString.prefix(6))")
            defer { manager.close() }
            let more = ["NOTIFY_SOCKET": manager.name]
            try await TestServer.with(variables: { _ in more }) { server in
                let client = server.client
                #expect(try await manager.told().contains("READY=1"))
                _ = try await client.makeSandbox("one")
                async let cut = code { try await client.sh("one", "echo $$ > /tmp/pid; exec sleep 60") }
                try await client.sh("one", "until test -s /tmp/pid; do sleep 0.05; done")
                let began = ContinuousClock.now
                server.signal(SIGTERM)
                #expect(await server.ended(within: .seconds(40)) == 0)
                let took = ContinuousClock.now - began
                #expect(took >= .seconds(4) && took < .seconds(12), "requests get 5 s: \(took)")
                #expect(await cut != nil)
                #expect(try await manager.told().contains("STOPPING=1"))
                try await server.start()
                #expect(try await client.sh("one", "kill -0 $(cat /tmp/pid) && echo alive") == "alive")
            }
        }
    }
}

/// A service manager: the socket to which a server tells its state.
private struct Manager {
    let name: String
    private let descriptor: Int32

    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: name.utf8)
            if name.hasPrefix("@") { path[0] = 0 }
        }
        let length = socklen_t(2 + name.utf8.count + (name.hasPrefix("@") ? 0 : 1))
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard bound == 0 else { throw TestFailure("bind \(name): \(errno)") }
    }

    /// The lines of the next message.
    func told() async throws -> [String] {
        try await eventually("the server tells something", within: .seconds(30)) {
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { return nil }
            return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }

    func close() {
        Glibc.close(descriptor)
        if !name.hasPrefix("@") { unlink(name) }
    }
}

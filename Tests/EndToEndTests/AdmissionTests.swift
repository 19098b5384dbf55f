import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// A node with little room.
    @Suite struct Admission {
        @Test func `four used in turn on a node with room for two are all served, with their memory`() async throws {
            try await TestServer.with(["--capacity-sandboxes", "2"]) { server in
                let client = server.client
                let names = ["a", "b", "c", "d"]
                for name in names {
                    _ = try await client.makeSandbox(name)
                    try await client.sh(name, "echo \(name) > /dev/shm/who")
                }
                for name in names {
                    #expect(try await client.sh(name, "cat /dev/shm/who") == name)
                    let held = try await client.node().reserved.sandboxes
                    #expect(held <= 2)
                }
                let asleep = try await client.sandboxes(states: [.standby]).items.count
                #expect(asleep >= 2)
                let events = try await client.events(limit: 1000)
                #expect(events.contains { $0.type == "sandbox.standby" && $0.detail["reason"] == "pressure" })
            }
        }

        @Test func `a full node refuses with 503 in time, and a burst beyond it is served`() async throws {
            try await TestServer.with(["--capacity-sandboxes", "2", "--queue-timeout", "1"]) { server in
                let client = server.client
                for name in ["x", "y"] { _ = try await client.makeSandbox(name, onIdle: .none) }
                let curl = try await ChildProgram.run(
                    "/usr/bin/curl",
                    [
                        "-s", "-i", "--unix-socket", server.runDirectory + "/nightjar.sock", "-H",
                        "Content-Type: application/json", "-d", #"{"name": "z"}"#, "http://nightjar/v1/sandboxes",
                    ], variables: TestEnvironment.childVariables, input: nil, within: .seconds(30))
                let answer = curl.text
                #expect(answer.contains("HTTP/1.1 503"))
                #expect(answer.lowercased().contains("retry-after: "))
                #expect(answer.contains("\"overloaded\""))
                let node = try await server.nightjar("node")
                #expect(node.text.contains(/sandboxes +2 +2/), "\(node.text)")
                // What nobody needs any more makes room for a burst, one after the other.
                for name in ["x", "y"] { try await client.delete(name) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<6 {
                        group.addTask {
                            let answer = try await server.nightjar("run", "--rm", "--", "echo", "\(number)")
                            // The queue's time is short here: served in time, or told to try again.
                            #expect([0, 75].contains(answer.code))
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await client.node().reserved.sandboxes == 0)
            }
        }
    }
}

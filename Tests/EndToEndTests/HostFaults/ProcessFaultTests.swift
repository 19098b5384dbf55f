import Client
import Faults
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What becomes of a sandbox when one of its processes on the host is killed.
    @Suite struct ProcessFaults {
        @Test(.timeLimit(.minutes(2)))
        func `whichever process of a sandbox is killed, it is told, nothing is left, and its files are there`()
            async throws
        {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("victim")
                try await client.sh("victim", "echo kept > /workspace/file")
                for (name, isAway) in [
                    ("runsc-sandbox", false), ("runsc-gofer", false), ("nightjar-shim", false), ("nightjar-shim", true),
                ] {
                    // A server that was away finds it at its start.
                    if isAway { await server.kill() }
                    try kill(name, server)
                    if isAway { try await server.start() }
                    let sandbox = try await client.state("victim", becomes: .stopped)
                    #expect(sandbox.problem?.code == .memoryLost, "\(name)")
                    _ = try await eventually("nothing is left of the former one, killed by its \(name)") {
                        try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                    }
                    #expect(try await client.sh("victim", "cat /workspace/file") == "kept", "\(name)")
                }
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func `a checkpoint that kills the sandbox leaves its files, and no image that is half or stale`() async throws {
            try await TestServer.with(variables: StepLane.variables) { server in
                let client = server.client
                _ = try await client.makeSandbox("victim")
                // It has slept before: what was in memory then must not come back.
                let keeper = try await Keeper.start(client, "victim", mebibytes: 4)
                _ = try await keeper.ask()
                _ = try await client.standby("victim")
                _ = try await keeper.ask()
                try await client.sh("victim", "echo kept > /workspace/file")
                // Just before gVisor is told to write, it is gone.
                let orders = StepOrders(path: server.ordersPath)
                try orders.give("hold \(Step.saveBegun.rawValue)")
                async let told = code { _ = try await client.standby("victim") }
                _ = try await eventually("the checkpoint begins") { orders.isMet(.saveBegun) ? true : nil }
                try kill("runsc-sandbox", server)
                orders.clear()
                #expect(await told == .driverFailed)
                let sandbox = try await client.state("victim", becomes: .stopped)
                #expect(sandbox.problem?.code == .memoryLost)
                _ = try await eventually("no image is left") {
                    try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                }
                #expect(try await client.sh("victim", "cat /workspace/file") == "kept")
                let sleeping = try await client.sh("victim", "cat /proc/[0-9]*/comm | grep -cx python3 || true")
                #expect(sleeping == "0", "its processes are new")
            }
        }

        private func kill(_ name: String, _ server: TestServer) throws {
            let process = try #require(
                server.sandboxProcesses().first { $0.commandLine.contains(name) }, "there is a \(name)")
            #expect(Glibc.kill(process.pid, SIGKILL) == 0)
        }
    }
}

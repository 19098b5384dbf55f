import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What the server itself may lack: descriptors, a true clock, a template.
    @Suite struct ServerFaults {
        @Test(.timeLimit(.minutes(1)))
        func `a server without descriptors refuses or ends, and nothing is lost by that`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                let pid = try #require(server.pid)
                let used = Set(
                    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap { Int($0) })
                // Those that are open stay; no other can be had until one of the lowest is closed.
                let free = (0...used.count).first { !used.contains($0) } ?? used.count
                try await limitDescriptors(of: pid, to: free)
                // Slots that were prepared may have what it takes.
                _ = await code { _ = try await client.makeSandbox("two") }
                let standby = await code { _ = try await client.standby("one") }
                #expect(standby != nil, "an image cannot be written without descriptors")
                if server.isRunning {
                    try await limitDescriptors(of: pid, to: 4096)
                } else {
                    // The dispatch library ends a process in which it cannot look at its threads.
                    _ = await server.ended(within: .seconds(5))
                    try await server.start()
                }
                #expect(try await keeper.ask().counter == 2, "what runs goes on")
                if try await !client.allSandboxes().contains(where: { $0.name == "two" }) {
                    _ = try await client.makeSandbox("two")
                }
                #expect(try await client.sh("two", "echo works") == "works")
                #expect(try await client.standby("one").state == .standby)
                #expect(try await keeper.ask().counter == 3)
                try await client.delete("two")
                _ = try await eventually("nothing is left of what failed") {
                    try await server.leaks(expecting: try await client.allSandboxes()).isEmpty ? true : nil
                }
            }
        }

        private func limitDescriptors(of pid: Int32, to limit: Int) async throws {
            let result = try await ChildProgram.run(
                "/usr/bin/prlimit", ["--pid", "\(pid)", "--nofile=\(limit):"],
                variables: TestEnvironment.childVariables)
            guard result.code == 0 else { throw TestFailure("prlimit: \(result.error)") }
        }

        @Test(.timeLimit(.minutes(1)))
        func `a sleeper whose template is gone says so, and wakes when it is back`() async throws {
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

        @Test(.timeLimit(.minutes(2)))
        func `a clock that jumps by a day, ahead and back, ages nothing, keeps nothing awake and loses nothing`()
            async throws
        {
            let clock = try await ShiftedClock()
            defer { clock.remove() }
            try await TestServer.with(variables: { _ in clock.variables }) { server in
                let client = server.client
                var aging = SandboxSpec(name: "aging")
                aging.lifecycle = LifecyclePolicy(idleTimeout: 3600, maxAge: 3600)
                _ = try await client.create(aging)
                var passing = SandboxSpec()
                passing.lifecycle = LifecyclePolicy(idleTimeout: 3600, maxAge: 3600)
                let ephemeral = try await client.create(passing).id.rawValue
                _ = try await client.standby(ephemeral)
                _ = try await client.makeSandbox("idler", idle: 1)
                let keeper = try await Keeper.start(client, "idler", mebibytes: 4)
                var count = try await keeper.ask().counter
                let day: Int64 = 86_400
                for shift in [day, -day, 0] {
                    try clock.jump(to: shift)
                    let probe = try await client.makeSandbox("probe")
                    let offset = probe.createdAt.seconds(since: now()) - Double(shift)
                    #expect(abs(offset) < 60, "the server sees the jump: \(offset)")
                    try await client.delete("probe")
                    // A command that ends just now is what the idle time is counted from.
                    count += 1
                    #expect(try await keeper.ask().counter == count, "\(shift)")
                    _ = try await client.state("idler", becomes: .standby)
                    #expect(try await client.sandbox("aging").state == .running, "\(shift)")
                    #expect(try await client.sandbox(ephemeral).state == .standby, "\(shift)")
                }
                #expect(try await client.resume(ephemeral).state == .running)
                try await expectOrder(server)
            }
        }

        /// What is told in order is told in the order in which it happened, and nothing was used for a day.
        private func expectOrder(_ server: TestServer) async throws {
            let audit = try await server.nightjar("audit", "--verify")
            #expect(audit.code == 0, "\(audit.error)")
            var query = UsageQuery()
            (query.from, query.to) = (now().adding(seconds: -200_000), now().adding(seconds: 200_000))
            let usage = try await server.client.usage(query)
            let running = usage.items.map(\.runningSeconds).reduce(0, +)
            #expect(running < 3600, "nothing has run for a day: \(running) s")
            let events = try await server.client.events(after: 0)
            let idler = events.filter { $0.name == "idler" }.map(\.type).filter { !$0.contains("resuming") }
            let turns = Array(repeating: ["sandbox.standby", "sandbox.running"], count: 4).flatMap { $0 }
            #expect(Array(idler.dropFirst(2)) == Array(turns.prefix(idler.count - 2)), "\(idler)")
            #expect(events.map(\.sequence) == events.map(\.sequence).sorted())
        }

        private func now() -> Timestamp {
            Timestamp(unixNanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000) * 1000)
        }
    }
}

import Client
import Foundation
import LinuxSystem
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Idleness {
        @Test func `those who only look do not keep a sandbox awake`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("o", idle: 2)
                let process = try await client.background("o", ["sleep", "1000"])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for try await _ in try await client.followOutput("o", process.id) {} }
                    group.addTask { for try await _ in try await client.followEvents(sandbox: "o") {} }
                    _ = try await eventually("it sleeps while it is watched") { () -> Bool? in
                        // Reading the metrics asks the guest, which costs it a little.
                        try await Task.sleep(for: .milliseconds(250))
                        _ = try await client.metrics("o")
                        _ = try await client.sandboxes()
                        _ = try await client.events(sandbox: "o")
                        return try await client.sandbox("o").state == .standby ? true : nil
                    }
                    group.cancelAll()
                    while let result = await group.nextResult() { _ = result }
                }
            }
        }

        @Test func `a foreground process keeps it awake and says so, until it ends`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("fg", idle: 1)
                let process = try await client.start("fg", ExecRequest(command: ["sleep", "4"]))
                let because = try await eventually("it says why") { () -> [String]? in
                    let sandbox = try await client.sandbox("fg")
                    #expect(sandbox.state == .running)
                    return sandbox.awakeBecause.isEmpty ? nil : sandbox.awakeBecause
                }
                #expect(because.contains { $0.contains("foreground") }, "\(because)")
                _ = try await client.state("fg", becomes: .standby)
                #expect(
                    try await client.process("fg", process.id).exit?.code == 0,
                    "it slept only after the process had ended")
            }
        }

        @Test func `an open stream keeps it awake and says so`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("st", idle: 1)
                let process = try await client.background("st", ["sleep", "1000"])
                try await client.attach("st", process.id) { _ in
                    _ = try await eventually("it says why") {
                        let reasons = try await client.sandbox("st").awakeBecause
                        return reasons.contains { $0.contains("attach") } ? true : nil
                    }
                    try await Task.sleep(for: .seconds(3))
                    #expect(try await client.sandbox("st").state == .running)
                }
                _ = try await client.state("st", becomes: .standby)
            }
        }

        @Test func `a busy background process keeps it awake and says so`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("busy", idle: 1)
                let process = try await client.background("busy", ["sh", "-c", "while :; do :; done"])
                _ = try await eventually("it says why") {
                    try await client.sandbox("busy").awakeBecause.contains { $0.contains("cpu") } ? true : nil
                }
                try await client.signal("busy", process.id, 9)
                _ = try await client.state("busy", becomes: .standby)
            }
        }

        /// What a file in `/proc/THREAD` says of every thread of the server's sandboxes, by control group.
        private func threads(
            _ server: TestServer, _ file: String, _ value: (String) -> String?
        ) -> [String: Set<String>] {
            server.noteSlots()
            var values: [String: Set<String>] = [:]
            for group in server.cgroups() {
                for list in ["tasks", "cgroup.threads"] {
                    let threads = (try? String(contentsOfFile: "\(group)/\(list)", encoding: .utf8)) ?? ""
                    for thread in threads.split(separator: "\n") {
                        let text = try? String(contentsOfFile: "/proc/\(thread)/\(file)", encoding: .utf8)
                        let name = String(group.split(separator: "/").last ?? "")
                        if let value = text.flatMap(value) { values[name, default: []].insert(value) }
                    }
                }
            }
            return values
        }

        private func slacks(_ server: TestServer) -> [String: Set<Int>] {
            threads(server, "timerslack_ns") { $0 }.mapValues { Set($0.compactMap { Int($0.filter(\.isNumber)) }) }
        }

        /// Sandboxes all of whose threads have the same one core.
        private func confined(_ server: TestServer) -> Int {
            threads(server, "status") { text in
                text.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }.map { String($0) }
            }
            .values.count { $0.count == 1 && $0.allSatisfy { !$0.contains("-") && !$0.contains(",") } }
        }

        @Test(.enabled(if: CoreSet.available().count > 1, "one core is no choice"))
        func `while more are in use than there are cores, some keep to one core`() async throws {
            try await TestServer.with { server in
                let client = server.client
                let names = (0..<(CoreSet.available().count + 2)).map { "c\($0)" }
                for name in names { _ = try await client.makeSandbox(name) }
                #expect(confined(server) == 0)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for name in names { group.addTask { try await client.sh(name, "sleep 4") } }
                    _ = try await eventually("two keep to one core") { confined(server) == 2 ? true : nil }
                    try await group.waitForAll()
                }
                _ = try await eventually("all may run everywhere") { confined(server) == 0 ? true : nil }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let work = "end=$(($(date +%s) + 6)); while [ $(date +%s) -lt $end ]; do :; done"
                    for name in names { group.addTask { try await client.sh(name, work) } }
                    try await Task.sleep(for: .seconds(2))
                    _ = try await eventually("none that computes is held") { () -> Bool? in
                        var busy = 0
                        for name in names where !(try await client.sandbox(name).awakeBecause.isEmpty) { busy += 1 }
                        return busy == names.count && confined(server) == 0 ? true : nil
                    }
                    try await group.waitForAll()
                }
            }
        }

        private func dozes(_ server: TestServer, _ dozes: Bool) async throws {
            _ = try await eventually(dozes ? "its timers take their time" : "all its timers are exact") {
                let slacks = slacks(server).values
                return slacks.contains([50_000_000]) == dozes && slacks.contains { $0.contains(50_000_000) } == dozes
                    ? true : nil
            }
        }

        @Test func `a sandbox in which nothing runs dozes until it is used, or has a new server`()
            async throws
        {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("doze")
                try await dozes(server, true)
                async let answer = client.sh("doze", "sleep 1; echo up")
                try await dozes(server, false)
                #expect(try await answer == "up")
                try await dozes(server, true)
                _ = try await client.standby("doze")
                #expect(try await client.sh("doze", "echo woke") == "woke")
                try await dozes(server, true)
                await server.kill()
                #expect(slacks(server).values.contains([50_000_000]), "It stays as it was without a server.")
                try await server.start()
                let process = try await client.background("doze", ["sleep", "1000"])
                try await dozes(server, false)
                try await Task.sleep(for: .seconds(2))
                #expect(
                    !slacks(server).values.contains { $0.contains(50_000_000) }, "A process of the user runs in it.")
                try await client.signal("doze", process.id, 9)
            }
        }

        @Test func `without auto_resume a sleeping sandbox is woken by resume only`() async throws {
            try await TestServer.with { server in
                let client = server.client
                var spec = SandboxSpec(name: "manual")
                spec.lifecycle = LifecyclePolicy(idleTimeout: 3600, autoResume: false)
                _ = try await client.create(spec)
                _ = try await client.standby("manual")
                #expect(await code { try await client.sh("manual", "true") } == .invalidState)
                #expect(try await client.resume("manual").state == .running)
                try await client.sh("manual", "true")
            }
        }

        @Test func `50 calls of a sleeping sandbox wake it once and are all answered`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("many")
                _ = try await client.standby("many")
                let answers = try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            try await client.exec("many", ExecRequest(command: ["echo", "\(number)"])).stdout
                        }
                    }
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(answers == Set((0..<50).map { "\($0)\n" }))
                #expect(try await client.sandbox("many").wakes == 1)
            }
        }
    }
}

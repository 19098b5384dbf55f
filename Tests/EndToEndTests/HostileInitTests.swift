import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// Sandboxes whose init was replaced by one that means harm: the server ends their sessions and goes on.
    @Suite struct HostileInit {
        /// What each does as soon as a process is to be started.
        static let attacks = [
            "length", "unknown", "unopened", "early", "late", "credit", "marker", "count", "numbers", "pings", "empty",
            "parts", "noise", "services",
        ]

        @Test func `a guest that breaks the protocol loses its session, and nobody else notices`() async throws {
            let programs = try programs()
            defer { try? FileManager.default.removeItem(atPath: programs) }
            try await TestServer.with(programs: programs) { server in
                let client = server.client
                for attack in Self.attacks {
                    _ = try await client.makeSandbox(attack)
                    let before = try server.residentMebibytes()
                    for _ in 0..<2 {
                        let result = await bounded(attack) {
                            _ = try await client.exec(attack, ExecRequest(command: ["true"]))
                        }
                        // Numbers out of all bounds are cut, so that the answer is one.
                        let expected: Set<SandboxError.Code?> = [
                            .guestFailed, .unavailable, .invalidState, .deadlineExceeded,
                        ]
                        #expect(
                            attack == "numbers" || expected.contains(result), "\(attack): \(result?.rawValue ?? "fine")"
                        )
                        #expect(try await client.health().status == "ok")
                    }
                    let state = try await client.sandbox(attack).state
                    #expect([.running, .stopping, .stopped, .resuming, .failed].contains(state), "\(attack): \(state)")
                    _ = await bounded("metrics of \(attack)") { _ = try await client.metrics(attack) }
                    let began = ContinuousClock.now
                    try await client.delete(attack)
                    #expect(began.duration(to: .now) < .seconds(30), "the deletion of \(attack) waits for the guest")
                    #expect(try server.residentMebibytes() - before < 128, "\(attack) makes the server grow")
                }
            }
        }

        @Test func `a guest that never answers is stopped, put to sleep and deleted all the same`() async throws {
            let programs = try programs()
            defer { try? FileManager.default.removeItem(atPath: programs) }
            try await TestServer.with(programs: programs) { server in
                let client = server.client
                _ = try await client.makeSandbox("silent")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        _ = await bounded("the exec") {
                            _ = try await client.exec("silent", ExecRequest(command: ["true"]))
                        }
                    }
                    _ = try await eventually("the exec is under way") {
                        try await client.sandbox("silent").awakeBecause.isEmpty ? nil : true
                    }
                    let refused = await bounded("standby") { _ = try await client.standby("silent") }
                    #expect(refused != nil, "a guest that does not answer cannot be asked what stands in the way")
                    let state = try await client.stop("silent").state
                    #expect(state == .stopped)
                    group.cancelAll()
                }
                #expect(try await client.resume("silent").state == .running, "it starts afresh from its files")
            }
        }

        /// A directory with the programs under test, and another init.
        private func programs() throws -> String {
            let directory = "\(TestEnvironment.temporary)/evil-\(UUID().uuidString.prefix(6))"
            let files = FileManager.default
            try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try files.copyItem(atPath: TestEnvironment.libexec + "/nightjar-shim", toPath: directory + "/nightjar-shim")
            try Data(EvilInit.program.utf8).write(to: URL(fileURLWithPath: directory + "/nightjar-init"))
            try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory + "/nightjar-init")
            return directory
        }
    }
}

/// The code that `body` fails with. That it ends at all within a minute is part of what is tested.
private func bounded(_ what: String, _ body: @escaping @Sendable () async throws -> Void) async -> SandboxError.Code? {
    await withTaskGroup(of: SandboxError.Code??.self) { group in
        group.addTask { .some(await code(of: body)) }
        group.addTask {
            try? await Task.sleep(for: .seconds(60))
            return nil
        }
        defer { group.cancelAll() }
        guard let first = await group.next(), let result = first else {
            Issue.record("\(what) does not end")
            return nil
        }
        return result
    }
}

import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// What root inside does against its neighbours and the server. Limits have tests of their own; here it counts that
    /// nobody else notices.
    @Suite struct HostileGuest {
        struct Attack: Sendable, CustomTestStringConvertible {
            var testDescription: String
            var script: String
            init(_ name: String, _ script: String) {
                testDescription = name
                self.script = script
            }
        }

        static let attacks = [
            Attack("a fork bomb", "bomb() { bomb | bomb & }; bomb; sleep 1"),
            Attack(
                "a memory hog",
                "python3 -c 'import time; keep = [bytearray(8 << 20) for _ in range(64)]; time.sleep(1)'"),
            Attack("a disk filler", "head -c 100M /dev/zero > /fill; rm -f /fill"),
            Attack(
                "a filler of inodes",
                "python3 -c 'import os; os.mkdir(\"/many\"); [os.mknod(f\"/many/{n}\") for n in range(2000)]'"),
            Attack("much output", "head -c 100M /dev/zero"),
            Attack("many tiny writes", "python3 -c 'import os; [os.write(1 + n % 2, b\"x\") for n in range(30_000)]'"),
            Attack(
                "zombies", "python3 -c 'import os, time; [os.fork() or os._exit(0) for _ in range(200)]; time.sleep(1)'"
            ),
            Attack(
                "daemons that leave the session",
                "for n in $(seq 50); do setsid sh -c '(sleep 1 &) ; exit' & done; wait"),
            Attack(
                "a shell that is gone", "rm -f /bin/sh /usr/bin/sh; echo '#!/bin/false' > /bin/sh; chmod +x /bin/sh"),
            Attack("SIGTERM ignored", "trap '' TERM INT HUP; sleep 1"),
            Attack("signals to the init", "for n in 15 2 1 10 12 17 28 20; do kill -$n 1; done; sleep 1"),
            Attack("a flood of the init's error stream", "head -c 20M /dev/zero > /proc/1/fd/2"),
        ]

        @Test func `neighbours and server do not notice what a sandbox does to itself`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("neighbour")
                try await client.sh("neighbour", "echo mine > /workspace/mine")
                let before = try server.residentMebibytes()
                for (number, attack) in Self.attacks.enumerated() {
                    let name = "evil-\(number)"
                    var spec = SandboxSpec(name: name)
                    spec.limits.memoryMiB = 256
                    spec.limits.pids = 128
                    _ = try await client.create(spec)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            var request = ExecRequest(command: ["bash", "-c", attack.script])
                            request.user = "root"
                            request.timeout = 20
                            // Whether it succeeds is the sandbox's own matter; that it ends is not.
                            _ = try? await client.exec(name, request)
                        }
                        for _ in 0..<2 {
                            let text = try await client.sh("neighbour", "cat /workspace/mine")
                            #expect(text == "mine", "during \(attack)")
                            let began = ContinuousClock.now
                            _ = try await client.sandbox("neighbour")
                            #expect(began.duration(to: .now) < .seconds(5), "the interface during \(attack)")
                        }
                        try await group.waitForAll()
                    }
                    let stopping = ContinuousClock.now
                    try await client.delete(name)
                    #expect(stopping.duration(to: .now) < .seconds(30), "the deletion after \(attack)")
                }
                let growth = try server.residentMebibytes() - before
                #expect(growth < 192, "the server grew by \(growth) MiB")
            }
        }

        @Test func `orphans are reaped and an init that is killed ends its sandbox only`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("orphans")
                try await client.sh("orphans", "for n in $(seq 100); do (setsid sh -c '(true &)' &) ; done; sleep 1")
                let zombies = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"
                _ = try await eventually("no zombie is left") { () -> Bool? in
                    try await client.sh("orphans", zombies) == "0" ? true : nil
                }
                _ = try await client.background(
                    "orphans", ["bash", "-c", "echo kept > /root/kept; sync; kill -9 1; sleep 60"])
                let text = try await eventually("it starts again with its files") {
                    try? await client.sh("orphans", "cat /root/kept && ! pgrep -x sleep")
                }
                #expect(text == "kept")
                #expect(try await client.sandbox("orphans").problem?.code == .memoryLost)
            }
        }

        @Test func `root inside replaces the init, and a fresh start has the genuine one`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("fake")
                let genuine = try await client.sh("fake", "sha256sum < /proc/1/exe")
                let replace = """
                    cp /bin/false /.nightjar/new && mv /.nightjar/new /.nightjar/init && sha256sum < /.nightjar/init
                    """
                #expect(try await client.sh("fake", replace) != genuine)
                // The running init was started from a file that is gone now. Whatever becomes of the memory, it is said.
                let refused = await code { _ = try await client.standby("fake") }
                if refused == nil {
                    #expect(try await client.sandbox("fake").state == .standby)
                    _ = await code { _ = try await client.sh("fake", "true") }
                }
                _ = try await client.stop("fake")
                #expect(try await client.sh("fake", "sha256sum < /proc/1/exe") == genuine)
                #expect(try await client.sh("fake", "sha256sum < /.nightjar/init") == genuine)
                for trick in [
                    "rm -rf /.nightjar; ln -s /etc /.nightjar", "rm -rf /.nightjar; mkfifo /.nightjar",
                    "chattr +i /.nightjar 2>/dev/null; chmod 0 /.nightjar/init; rm -rf /.nightjar; mkdir -p /.nightjar/init/x",
                ] {
                    try await client.sh("fake", trick)
                    _ = try await client.stop("fake")
                    #expect(try await client.sh("fake", "sha256sum < /proc/1/exe") == genuine, "after \(trick)")
                    #expect(try await client.sh("fake", "test -s /etc/passwd && echo fine") == "fine")
                }
            }
        }
    }
}

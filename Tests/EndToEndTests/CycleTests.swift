import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Cycles {
        /// Names, kinds, rights, owners and targets of everything, sizes and contents of the files. Times are left out: gVisor
        /// keeps its own while it runs, some milliseconds from the host's, and reads the host's after a wake.
        private static let treeHash =
            "cd /workspace/tree && find . -printf '%p %m %y %U %G %l\\n' | sort | sha256sum"
            + " && find . -type f -printf '%p %s\\n' | sort | sha256sum"
            + " && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum"

        @Test(.timeLimit(.minutes(10)))
        func `memory and files are equal after each of 50 cycles, whenever the server is killed`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("cycle")
                try await client.sh(
                    "cycle",
                    """
                    mkdir -p /workspace/tree/a/b && cd /workspace/tree
                    for i in $(seq 100); do head -c $((i * 100)) /dev/urandom > a/file$i; done
                    ln -s a/file1 link; chmod 600 a/file2; rm /usr/share/doc/bash/README 2>/dev/null || true
                    """)
                let keeper = try await Keeper.start(client, "cycle", mebibytes: 16)
                let first = try await keeper.ask()
                let tree = try await client.sh("cycle", Self.treeHash)
                var counter = first.counter
                for cycle in 1...50 {
                    try await run(cycle, server)
                    let now = try await keeper.ask()
                    #expect(now.counter > counter, "cycle \(cycle)")
                    #expect(now.token == first.token && now.pid == first.pid, "cycle \(cycle)")
                    #expect(now.memoryHash == first.memoryHash, "cycle \(cycle)")
                    #expect(try await client.sh("cycle", Self.treeHash) == tree, "cycle \(cycle)")
                    counter = now.counter
                }
                #expect(try await client.sandbox("cycle").problem == nil)
            }
        }

        /// One way to sleep, with the server killed in most moments of it.
        private func run(_ cycle: Int, _ server: TestServer) async throws {
            let client = server.client
            switch cycle % 10 {
            case 3, 8:
                // Killed while it writes the memory, each time a little later.
                async let sleeping = try? client.standby("cycle")
                try await Task.sleep(for: .milliseconds(cycle * 4))
                try await server.restart()
                _ = await sleeping
            case 5:
                _ = try await client.standby("cycle")
                try await server.restart()
            case 6, 9:
                // Killed while it wakes.
                _ = try await client.standby("cycle")
                async let waking = try? client.resume("cycle")
                try await Task.sleep(for: .milliseconds(cycle * 2))
                try await server.restart()
                _ = await waking
            default:
                #expect(try await client.standby("cycle").state == .standby)
                #expect(try await client.metrics("cycle").memoryBytes == 0)
            }
        }
    }
}

import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What a full, a read-only and a broken disk do to the sandboxes on it.
    @Suite struct DiskFaults {
        private static func with(_ body: (TestServer, Volume) async throws -> Void) async throws {
            let volume = try await Volume(mebibytes: 640)
            do {
                try await TestServer.with(data: volume.path) { server in
                    // Nothing can be deleted on a full disk, which is in the way of the end.
                    defer { volume.empty() }
                    try await body(server, volume)
                }
            } catch {
                await volume.remove()
                throw error
            }
            await volume.remove()
        }

        @Test(.timeLimit(.minutes(2)))
        func `a full disk refuses what needs it and keeps what runs, and all goes on with space again`() async throws {
            try await Self.with { server, volume in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                _ = try await client.makeSandbox("asleep")
                try await client.sh("asleep", "echo kept > /workspace/file")
                _ = try await client.standby("asleep")
                let ticker = try await client.background("one", ["sh", "-c", "while sleep 0.1; do echo tick; done"])
                // What the guest has written must be on the disk before there is no more room for it.
                try await client.sh("one", "echo mine > /workspace/mine; sync")
                sync()
                let writing = "dd if=/dev/urandom of=/workspace/x bs=1M count=1 conv=fsync || echo failed"
                let loop = "while sleep 0.1; do \(writing); done 2>&1"
                let writer = try await client.background("one", ["sh", "-c", loop])

                try volume.fill(leaving: 200)
                #expect(await code { _ = try await client.standby("one") } == .noSpace, "256 MiB are kept free")
                try volume.fill(leaving: 0)
                try await client.output("one", writer.id, contains: "failed")
                await expectRefusal("a creation") { _ = try await client.makeSandbox("two") }
                await expectRefusal("a command") { try await client.sh("one", "true") }
                await expectRefusal("a wake") { _ = try await client.resume("asleep") }
                #expect(try await client.sandbox("asleep").state == .standby, "its memory is kept")
                let seen = try await client.allOutput("one", ticker.id).count
                _ = try await eventually("what runs goes on") {
                    try await client.allOutput("one", ticker.id).count > seen ? true : nil
                }

                // A server that starts on such a disk takes nothing away, whether it gets ready or not.
                await server.kill()
                try server.launch()
                _ = try? await server.ready(within: .seconds(5))
                await server.kill()
                volume.empty()
                try await server.start()
                for process in [ticker, writer] { try await client.signal("one", process.id, Int(SIGKILL)) }
                #expect(try await keeper.ask().counter == 2, "what runs goes on")
                // What could not be written is told once more, by the first attempt that has to write everything. Where the
                // disk inside was hit in its own structures, only the next start mends it.
                _ = try? await client.standby("one")
                if (try? await client.standby("one")) == nil { _ = try await client.stop("one") }
                #expect(try await client.sh("one", "cat /workspace/mine; echo more >> /workspace/mine") == "mine")
                #expect(try await client.standby("one").state == .standby)
                #expect(try await client.sh("one", "cat /workspace/mine") == "mine\nmore")
                #expect(try await client.sh("asleep", "cat /workspace/file") == "kept")
                if try await !client.allSandboxes().contains(where: { $0.name == "two" }) {
                    _ = try await client.makeSandbox("two")
                }
                #expect(try await client.sh("two", "echo works") == "works")
            }
        }

        /// What has no room is told so, or had just enough of it.
        private func expectRefusal(_ what: String, _ body: () async throws -> Void) async {
            let refused = await code(of: body)
            let allowed: [SandboxError.Code?] = [.noSpace, .storeFailed, .driverFailed]
            #expect(allowed.contains(refused), "\(what) on a full disk: \(refused as Any)")
        }

        @Test(.timeLimit(.minutes(1)))
        func `on a read-only data directory no server starts, and its sandboxes go on`() async throws {
            try await Self.with { server, volume in
                let client = server.client
                _ = try await client.makeSandbox("one")
                let keeper = try await Keeper.start(client, "one", mebibytes: 4)
                _ = try await keeper.ask()
                await server.kill()
                try await volume.makeReadOnly(true)
                let refused = try await server.serve(data: volume.path, run: server.runDirectory)
                #expect(refused.code != 0 && refused.error.contains("Read-only file system"), "\(refused.error)")
                try await volume.makeReadOnly(false)
                try await server.start()
                #expect(try await keeper.ask().counter == 2)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `when the disk breaks down changes are refused, and after its repair what was acknowledged is there`()
            async throws
        {
            try await Self.with { server, volume in
                let client = server.client
                _ = try await client.makeSandbox("asleep")
                let keeper = try await Keeper.start(client, "asleep", mebibytes: 4)
                let before = try await keeper.ask()
                _ = try await client.standby("asleep")
                _ = try await client.makeSandbox("awake")
                try await client.sh("awake", "echo kept > /workspace/file; sync")

                try await volume.breakDown()
                #expect(await code { _ = try await client.pause("awake") } == .storeFailed)
                #expect(await code { _ = try await client.resume("asleep") } == .storeFailed)
                #expect(await code { _ = try await client.delete("asleep") } == .storeFailed)
                #expect(try await client.sandbox("awake").state == .running)
                #expect(try await client.sandbox("asleep").state == .standby)
                #expect(try await client.health().status == "ok", "it answers")

                try await server.reboot {
                    try await volume.unmount()
                    try await volume.mount()
                }
                let after = try await keeper.ask()
                #expect((after.pid, after.token, after.memoryHash) == (before.pid, before.token, before.memoryHash))
                #expect(try await client.sh("awake", "cat /workspace/file") == "kept")
            }
        }
    }
}

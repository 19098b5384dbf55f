import Client
import Foundation
import Glibc
import SandboxModel
import Testing

extension EndToEnd {
    /// What becomes of a sandbox whose memory on disk is not what it was.
    @Suite struct Damages {
        private enum Damage: String, CaseIterable {
            case flippedState, flippedPages, flippedMetadata, cut, missing, zeroed, swapped, manifest
        }

        @Test(.timeLimit(.minutes(5)))
        func `memory on disk that was altered is never restored, and its loss is told`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("victim")
                try await client.sh("victim", "echo kept > /workspace/file")
                for damage in Damage.allCases {
                    _ = try await client.background("victim", ["sleep", "1000"])
                    _ = try await client.standby("victim")
                    try apply(damage, to: try image(server))
                    _ = try await client.resume("victim")
                    let woken = try await client.sandbox("victim")
                    #expect(woken.state == .running, "\(damage)")
                    #expect(woken.problem?.code == .memoryLost, "\(damage)")
                    #expect(try await client.sh("victim", "cat /workspace/file") == "kept", "\(damage)")
                    let sleeping = try await client.sh("victim", "cat /proc/[0-9]*/comm | grep -cx sleep || true")
                    #expect(sleeping == "0", "\(damage): its processes are new")
                }
            }
        }

        @Test func `memory that was copied away and back is as good as before`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("moved")
                let keeper = try await Keeper.start(client, "moved", mebibytes: 4)
                let before = try await keeper.ask()
                _ = try await client.standby("moved")
                let place = try image(server)
                try FileManager.default.copyItem(atPath: place, toPath: server.directory + "/copy")
                try FileManager.default.removeItem(atPath: place)
                try FileManager.default.copyItem(atPath: server.directory + "/copy", toPath: place)
                let after = try await keeper.ask()
                #expect((after.pid, after.token, after.counter) == (before.pid, before.token, before.counter + 1))
            }
        }

        private func image(_ server: TestServer) throws -> String {
            let sandboxes = server.dataDirectory + "/sandboxes"
            let id = try #require(try FileManager.default.contentsOfDirectory(atPath: sandboxes).first)
            let images = "\(sandboxes)/\(id)/checkpoint"
            return "\(images)/\(try #require(try FileManager.default.contentsOfDirectory(atPath: images).first))"
        }

        private func apply(_ damage: Damage, to image: String) throws {
            let pages = image + "/pages.img"
            switch damage {
            case .flippedState: try flip(image + "/checkpoint.img")
            case .flippedPages: try flip(pages)
            case .flippedMetadata: try flip(image + "/pages_meta.img")
            case .cut: #expect(truncate(pages, try size(pages) / 2) == 0)
            case .missing: try FileManager.default.removeItem(atPath: image + "/checkpoint.img")
            case .zeroed:
                // As a crash of the machine may leave it: the size is right, and nothing is in it.
                let length = try size(pages)
                #expect(truncate(pages, 0) == 0 && truncate(pages, length) == 0)
            case .swapped:
                let (one, other) = (image + "/checkpoint.img", image + "/pages_meta.img")
                #expect(rename(one, image + "/x") == 0 && rename(other, one) == 0 && rename(image + "/x", other) == 0)
            case .manifest:
                let text = try String(contentsOfFile: image + "/manifest.json", encoding: .utf8)
                try text.replacingOccurrences(of: "\"format\" : ", with: "\"format\" :  ")
                    .replacingOccurrences(of: "gvisor", with: "gvizor")
                    .write(toFile: image + "/manifest.json", atomically: false, encoding: .utf8)
            }
        }

        private func size(_ path: String) throws -> off_t {
            var status = stat()
            guard stat(path, &status) == 0 else { throw TestFailure("there is no \(path)") }
            return status.st_size
        }

        /// One bit in the middle.
        private func flip(_ path: String) throws {
            let file = open(path, O_RDWR)
            defer { close(file) }
            let offset = try size(path) / 2
            var byte: UInt8 = 0
            #expect(pread(file, &byte, 1, offset) == 1)
            byte ^= 1
            #expect(pwrite(file, &byte, 1, offset) == 1)
        }
    }
}

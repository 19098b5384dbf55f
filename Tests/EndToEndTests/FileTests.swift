import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Files {
        @Test func `100 MB go in and come out equal, whole and in part`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("big")
                let block = (0..<1_000_000).map { _ in UInt8.random(in: 0...255) }
                let pieces = AsyncStream<[UInt8]> { continuation in
                    for index in 0..<100 { continuation.yield([UInt8(index)] + block.dropFirst()) }
                    continuation.finish()
                }
                let file = try await client.write("big", "/workspace/deep/er/big", length: 100_000_000, content: pieces)
                #expect(file.size == 100_000_000)
                var position = 0
                var isEqual = true
                for try await bytes in try await client.read("big", "/workspace/deep/er/big").content {
                    var offset = 0
                    while offset < bytes.count {
                        let within = position % 1_000_000
                        let count = min(bytes.count - offset, 1_000_000 - within)
                        var expected = Array(block[within..<within + count])
                        if within == 0 { expected[0] = UInt8(position / 1_000_000) }
                        isEqual = isEqual && bytes[offset..<offset + count].elementsEqual(expected)
                        position += count
                        offset += count
                    }
                }
                #expect(position == 100_000_000)
                #expect(isEqual)
                let part = try await client.read("big", "/workspace/deep/er/big", from: 41_999_999, through: 42_000_001)
                #expect(try await part.content.collect() == [block[999_999], 42, block[1]])
            }
        }

        @Test func `files can be made, described, listed, moved, changed and removed`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("f")
                try await client.makeDirectory("f", "/workspace/d/e", parents: true, mode: 0o750)
                try await client.write("f", "/workspace/d/e/x", FileWriteOptions(mode: 0o640), bytes: Array("abc".utf8))
                try await client.makeSymlink("f", "/workspace/d/l", to: "e/x")
                let odd = SandboxPath(bytes: Array("/workspace/d/".utf8) + [0xFF, 0x20, 0x22, 0x5C])
                try await client.write("f", odd, bytes: [1])
                let list = try await client.list("f", "/workspace/d", depth: 3)
                #expect(Set(list.map(\.kind)) == [.directory, .file, .symlink])
                #expect(list.count == 4)
                #expect(
                    list.contains {
                        $0.pathBase64.flatMap { Data(base64Encoded: $0) } == Data([0xFF, 0x20, 0x22, 0x5C])
                    })
                let file = try await client.stat("f", "/workspace/d/l")
                #expect((file.size, file.mode, file.kind) == (3, "0640", .file))
                #expect(try await client.stat("f", "/workspace/d/l", follow: false).target == "e/x")
                try await client.changeMode("f", "/workspace/d/e/x", 0o600)
                try await client.changeOwner("f", "/workspace/d/e/x", "nobody")
                #expect(try await client.sh("f", "stat -c '%a %U' /workspace/d/e/x") == "600 nobody")
                try await client.move("f", from: "/workspace/d/e/x", to: "/workspace/y")
                #expect(try await client.contents("f", "/workspace/y") == Array("abc".utf8))
                try await client.write("f", "/workspace/y", FileWriteOptions(offset: 1), bytes: Array("XY".utf8))
                #expect(try await client.contents("f", "/workspace/y") == Array("aXY".utf8))
                #expect(await code { try await client.remove("f", "/workspace/d") } == .directoryNotEmpty)
                try await client.remove("f", "/workspace/d", recursive: true)
                #expect(await code { _ = try await client.stat("f", "/workspace/d") } == .fileNotFound)
                #expect(await code { _ = try await client.contents("f", "/workspace") } == .isADirectory)
                #expect(await code { _ = try await client.list("f", "/workspace/y") } == .notADirectory)
            }
        }

        @Test func `a watch tells of what changes below a directory`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("w")
                try await client.makeDirectory("w", "/workspace/watched/sub", parents: true)
                let changes = try await client.watch("w", "/workspace/watched")
                try await client.sh("w", "cd /workspace/watched; echo 1 > sub/a; mv sub/a b; rm b")
                var seen: [WatchEventResource] = []
                for try await change in changes {
                    seen.append(change)
                    if change.kind == .removed && change.path == "b" { break }
                }
                #expect(seen.contains { $0.kind == .created && $0.path == "sub/a" })
                #expect(seen.contains { $0.kind == .renamed && $0.path == "b" && $0.from == "sub/a" })
            }
        }

        @Test func `files of a sleeping sandbox wake it`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("s")
                try await client.write("s", "/workspace/x", bytes: [1, 2])
                _ = try await client.standby("s")
                #expect(try await client.contents("s", "/workspace/x") == [1, 2])
                #expect(try await client.sandbox("s").wakes == 1)
            }
        }

        @Test func `a port inside can be reached`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("port")
                let keeper = try await Keeper.start(client, "port", mebibytes: 1)
                let text = try await client.connect("port", port: UInt16(Keeper.port)) { connection in
                    var bytes: [UInt8] = []
                    for try await piece in connection { bytes += piece }
                    return String(decoding: bytes, as: UTF8.self)
                }
                #expect(text.hasPrefix("1 "))
                #expect(try await keeper.ask().counter == 2)
                let refused = await code { try await client.connect("port", port: 9) { for try await _ in $0 {} } }
                #expect(refused == .connectionRefused)
            }
        }
    }
}

import Client
import Foundation
import Glibc
import SandboxModel
import Synchronization
import Testing

extension EndToEnd {
    /// What a sandbox writes is bounded by the size of its own disk.
    @Suite struct DiskQuota {
        @Test func `who fills the disk meets an error, is told why, and nobody else notices`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("full", LimitsSpec(diskMiB: 64))
                _ = try await client.limited("other", LimitsSpec(diskMiB: 64))
                try await client.sh("full", "echo kept > /root/kept")
                var fill = ExecRequest(command: ["sh", "-c", "head -c 200M /dev/zero > /root/big"])
                fill.user = "root"
                let filler = try await client.exec("full", fill)
                #expect(filler.exitCode == 1 && filler.cause == .diskFull)
                #expect(filler.stderr.contains("No space left"))
                #expect(try await client.limitEvents("full", cause: "disk_full").isEmpty == false)
                let size = try await client.sh("full", "stat -c %s /root/big")
                #expect((32 << 20..<64 << 20).contains(Int(size) ?? 0), "\(size) bytes")
                let id = try await client.sandbox("full")
                #expect(try server.allocated(of: id) <= 65 << 20)
                #expect(
                    try await client.sh("other", "head -c 20M /dev/zero > /root/x && stat -c %s /root/x") == "20971520")
                // What is deleted can be written again, and the host has it back.
                try await client.sh("full", "rm /root/big && sync && head -c 30M /dev/zero > /root/big && rm /root/big")
                #expect(try await client.sh("full", "cat /root/kept") == "kept")
                try await client.sh("full", "sync")
                _ = try await client.standby("full")
                _ = try await eventually("the host has its room back") {
                    try server.allocated(of: id) < 24 << 20 ? true : nil
                }
            }
        }

        @Test func `so does who makes too many files`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.limited("many", LimitsSpec(diskMiB: 64))
                let script = """
                    import os
                    os.mkdir("/root/many")
                    count = 0
                    try:
                        while True:
                            os.close(os.open(f"/root/many/{count}", os.O_CREAT))
                            count += 1
                    except OSError as error:
                        print(count, error.errno, flush=True)
                    os._exit(3)
                    """
                var fill = ExecRequest(command: ["python3", "-c", script])
                fill.user = "root"
                let result = try await client.exec("many", fill)
                let words = result.stdout.split(separator: " ").map { $0.trimmingCharacters(in: .newlines) }
                #expect(words.last == "28" && (3000...4096).contains(Int(words.first ?? "") ?? 0), "\(result)")
                #expect(result.cause == .diskFull)
                #expect(try await client.sh("many", "rm -r /root/many && touch /root/one && echo fine") == "fine")
            }
        }

        @Test func `its files outlive sleep, stop, a killed server and damage that can be mended`() async throws {
            try await TestServer.with { server in
                let client = server.client
                let sandbox = try await client.limited("kept", LimitsSpec(diskMiB: 128))
                try await client.sh("kept", "head -c 5M /dev/urandom > /root/a; chmod 600 /root/a; rm -rf /opt")
                let sum = try await client.sh("kept", "md5sum < /root/a")
                _ = try await client.standby("kept")
                #expect(try await client.sh("kept", "md5sum < /root/a") == sum)
                await server.kill()
                try await server.start()
                #expect(try await client.sh("kept", "md5sum < /root/a; ls / | grep -c opt || true") == sum + "\n0")
                _ = try await client.stop("kept")
                try await server.unused(sandbox)
                let image = server.image(of: sandbox)
                let damage = try ChildProgram(
                    "/usr/sbin/debugfs", ["-w", "-R", "set_super_value state 2", image], variables: [:],
                    output: .nullDevice, error: .nullDevice)
                #expect(await damage.wait() == 0)
                #expect(try server.hasErrors(sandbox))
                #expect(try await client.sh("kept", "md5sum < /root/a") == sum)
                #expect(try !server.hasErrors(sandbox))
                _ = try await client.stop("kept")
                try await client.delete("kept")
                try await server.unused(sandbox)
            }
        }

        @Test func `without quotas none can be asked for, and a disk that is there stays in use`() async throws {
            try await TestServer.with { server in
                let client = server.client
                let bounded = try await client.limited("bounded", LimitsSpec())
                #expect(bounded.limits.diskMiB == 10_240)
                try await client.sh("bounded", "echo 1 > /root/a")
                server.variables.withLock { $0["NIGHTJAR_DISK_QUOTA"] = "0" }
                _ = try await client.stop("bounded")
                try await server.restart()
                #expect(await code { _ = try await client.limited("x", LimitsSpec(diskMiB: 64)) } == .unsupported)
                #expect(try await client.limited("free", LimitsSpec()).limits.diskMiB == nil)
                try await client.sh("free", "echo 2 > /root/a")
                #expect(try await client.sh("bounded", "cat /root/a") == "1")
                server.variables.withLock { $0["NIGHTJAR_DISK_QUOTA"] = nil }
                _ = try await client.stop("free")
                try await server.restart()
                #expect(try await client.sh("free", "cat /root/a") == "2")
            }
        }
    }
}

extension TestServer {
    func image(of sandbox: SandboxResource) -> String { "\(dataDirectory)/sandboxes/\(sandbox.id)/disk.img" }

    /// Bytes of a sandbox's disk that are on the host.
    fileprivate func allocated(of sandbox: SandboxResource) throws -> Int {
        var status = stat()
        guard stat(image(of: sandbox), &status) == 0 else { throw TestFailure("there is no disk") }
        return Int(status.st_blocks) * 512
    }

    /// What the superblock of a sandbox's disk says of itself.
    fileprivate func hasErrors(_ sandbox: SandboxResource) throws -> Bool {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: image(of: sandbox)))
        try file.seek(toOffset: 1024 + 58)
        return try file.read(upToCount: 1)?.first.map { $0 & 2 != 0 } ?? false
    }

    /// Waits until no loop device shows a sandbox's disk.
    fileprivate func unused(_ sandbox: SandboxResource) async throws {
        _ = try await eventually("the disk is not in use") {
            let devices = try FileManager.default.contentsOfDirectory(atPath: "/sys/block")
            let files = devices.compactMap {
                try? String(contentsOfFile: "/sys/block/\($0)/loop/backing_file", encoding: .utf8)
            }
            return files.contains { $0.contains(sandbox.id.rawValue) } ? nil : true
        }
    }
}

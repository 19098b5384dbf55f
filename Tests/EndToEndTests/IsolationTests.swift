import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// What root inside a sandbox can reach.
    @Suite struct Isolation {
        @Test func `root inside does not see the host's files, processes and devices`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("in")
                let canary = "canary-\(UUID().uuidString)"
                try Data(canary.utf8).write(to: URL(fileURLWithPath: "\(server.directory)/\(canary)"))
                let found = try await client.sh(
                    "in",
                    "find / -name '\(canary)' -not -path '/proc/*' 2>/dev/null; ls -d \(server.directory) 2>/dev/null; true"
                )
                #expect(found == "")
                #expect(try await client.sh("in", "ls /proc/1/root/\(TestEnvironment.root) 2>/dev/null; true") == "")
                let commands = try await client.sh("in", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
                #expect(
                    !commands.contains("runsc") && !commands.contains("nightjar-shim") && !commands.contains("swift"))
                let own = ProcessInfo.processInfo.processIdentifier
                #expect(try await client.sh("in", "kill -0 \(own) 2>&1 || echo no").contains("no"))
                #expect(
                    try await client.sh("in", "ls /dev | grep -E '^(sd|vd|nvme|loop|mem|kmem|kvm)' || echo none")
                        == "none")
                let device =
                    "mknod /tmp/disk b 254 0 2>/dev/null && head -c 512 /tmp/disk 2>/dev/null | wc -c || echo 0"
                #expect(try await client.sh("in", device).hasSuffix("0"))
                let kernel = try String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
                #expect(try await client.sh("in", "uname -r") != kernel.trimmingCharacters(in: .whitespacesAndNewlines))
            }
        }

        @Test func `root inside has no network but its own loopback`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("net")
                #expect(
                    try await client.sh(
                        "net", "ls /sys/class/net 2>/dev/null || tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")
                        == "lo")
                let log = try String(contentsOfFile: server.logPath, encoding: .utf8)
                let port = log.firstMatch(of: /http:\/\/127\.0\.0\.1:([0-9]+)/)?.1
                let text = try #require(port)
                let probe = { (address: String) in
                    "timeout 3 bash -c 'exec 3<>/dev/tcp/\(address)/\(text)' 2>/dev/null && echo reached || echo no"
                }
                #expect(try await client.sh("net", probe("127.0.0.1")) == "no")
                for address in try hostAddresses() { #expect(try await client.sh("net", probe(address)) == "no") }
                #expect(try await client.sh("net", "ls /run/nightjar* \(server.runDirectory) 2>/dev/null; true") == "")
            }
        }

        @Test func `root inside cannot change what sandboxes share`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("evil")
                let rootfs = server.dataDirectory + "/templates/base/current/rootfs"
                let guest = server.dataDirectory + "/guest"
                let before = try shared(rootfs, guest)
                try await client.sh(
                    "evil",
                    """
                    echo evil > /etc/passwd.evil; echo 'evil:x:0:0::/:/bin/sh' >> /etc/passwd
                    rm -f /usr/bin/git; chmod 777 /usr/bin; touch /usr/bin/evil
                    for f in /.nightjar/init /.nightjar; do echo x >> $f; rm -rf $f; chmod 777 $f; mv $f /tmp/x; done 2>/dev/null
                    mount -o remount,rw / 2>/dev/null; true
                    """)
                #expect(try shared(rootfs, guest) == before)
                #expect(!FileManager.default.fileExists(atPath: rootfs + "/etc/passwd.evil"))
                _ = try await client.makeSandbox("good")
                let state = try await client.sh(
                    "good",
                    "test -e /etc/passwd.evil && echo bad; grep evil /etc/passwd; git --version >/dev/null && echo fine"
                )
                #expect(state == "fine")
                #expect(
                    try await client.sh("evil", "tail -n 1 /etc/passwd") == "evil:x:0:0::/:/bin/sh",
                    "its own copy is changed")
            }
        }

        @Test func `sandboxes do not see each other`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("one")
                _ = try await client.makeSandbox("two")
                let process = try await client.background("one", ["sleep", "12345"])
                try await client.sh(
                    "one", "echo secret > /workspace/secret; echo secret > /tmp/secret; echo secret > /dev/shm/secret")
                _ = try await Keeper.start(client, "one", mebibytes: 1)
                let seen = try await client.sh(
                    "two",
                    """
                    ls /workspace/secret /tmp/secret /dev/shm/secret 2>/dev/null; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '1234[5]'
                    bash -c 'exec 3<>/dev/tcp/127.0.0.1/\(Keeper.port)' 2>/dev/null && echo reached; true
                    """)
                #expect(seen == "")
                #expect(await code { _ = try await client.process("two", process.id + 40) } == .processNotFound)
            }
        }

        private func shared(_ rootfs: String, _ guest: String) throws -> [String] {
            let files = ["/etc/passwd", "/usr/bin/git", "/bin/bash"].map { rootfs + $0 }
            let layers = try FileManager.default.contentsOfDirectory(atPath: guest).sorted().map {
                "\(guest)/\($0)/.nightjar/init"
            }
            return try (files + layers).map { path in
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                let data = try Data(contentsOf: URL(fileURLWithPath: path))
                return "\(path) \(attributes[.posixPermissions] ?? "") \(data.count) \(data.hashValue)"
            }
                + [rootfs, rootfs + "/usr/bin"].map { path in
                    let attributes = try FileManager.default.attributesOfItem(atPath: path)
                    return
                        "\(path) \(attributes[.posixPermissions] ?? "") \(try FileManager.default.contentsOfDirectory(atPath: path).count)"
                }
        }

        private func hostAddresses() throws -> [String] {
            let text = try String(contentsOfFile: "/proc/net/fib_trie", encoding: .utf8)
            let found = text.matches(of: /\|-- ([0-9.]+)\n[^\n]*host LOCAL/).map { String($0.1) }
            return Array(Set(found).filter { !$0.hasPrefix("127.") })
        }
    }
}

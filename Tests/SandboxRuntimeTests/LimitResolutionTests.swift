import Foundation
import Glibc
import SandboxModel
import Testing

@testable import SandboxRuntime

/// Whose word counts for a limit: the request's, then the template's, then the server's.
@Suite(.timeLimit(.minutes(5)))
struct LimitResolutionTests {
    private func template(_ node: Node, limits: String) throws {
        let path = node.path + "/templates/base/versions/v1/template.json"
        let size = #""size_bytes": 1"#
        let text = try readText(path).replacingOccurrences(of: size, with: "\(size), \(limits)")
        try writeText(text, to: path)
    }

    @Test func `a request goes before its template, and a template before the server`() async throws {
        let node = try Node()
        try template(node, limits: #""limits": {"memory_mib": 512, "cpus": 1, "exec_timeout": 7}"#)
        let name = "asked"
        try await node.serve { runtime in
            let made = try await runtime.create(
                SandboxSpec(name: name, limits: .init(cpus: 0.5, openFiles: 100)), idempotency: nil)
            #expect(made.limits.memoryMiB == 512 && made.limits.cpus == 0.5 && made.limits.pids == 1024)
            #expect(made.limits.openFiles == 100 && made.limits.execTimeout == 7 && made.limits.diskMiB == nil)
        }
        // What it got stays, whatever the template says later.
        try writeText(
            try readText(node.path + "/templates/base/versions/v1/template.json")
                .replacingOccurrences(of: "512", with: "1024"),
            to: node.path + "/templates/base/versions/v1/template.json")
        try await node.serve { runtime in
            let kept = try await runtime.get(name).limits.memoryMiB
            #expect(kept == 512)
        }
    }

    @Test(.enabled(if: access("/dev/loop-control", F_OK) == 0))
    func `a disk is as large as the request, the template or the server says`() async throws {
        let node = try Node()
        try await node.serve {
            $0.diskQuota = 300
        } _: { runtime in
            let ofServer = try await runtime.create(SandboxSpec(name: "a"), idempotency: nil).limits.diskMiB
            #expect(ofServer == 300)
            let asked = SandboxSpec(name: "b", limits: .init(diskMiB: 100))
            let ofRequest = try await runtime.create(asked, idempotency: nil).limits.diskMiB
            #expect(ofRequest == 100)
        }
        try template(node, limits: #""limits": {"disk_mib": 200}"#)
        try await node.serve {
            $0.diskQuota = 300
        } _: { runtime in
            let ofTemplate = try await runtime.create(SandboxSpec(name: "c"), idempotency: nil).limits.diskMiB
            #expect(ofTemplate == 200)
        }
        // A server that bounds nothing promises nothing, neither to a request nor to a template.
        try await node.serve { runtime in
            let refused = await code { _ = try await runtime.create(SandboxSpec(name: "d"), idempotency: nil) }
            #expect(refused == .unsupported)
        }
    }
}

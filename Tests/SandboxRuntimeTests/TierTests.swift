import Foundation
import SandboxModel
import Testing

@testable import SandboxRuntime

/// Which tier a sandbox gets.
@Suite(.timeLimit(.minutes(5)))
struct TierTests {
    private struct Case: Sendable, CustomStringConvertible {
        var description: String
        var request: IsolationChoice?
        var template: String?
        var server = IsolationChoice.auto
        /// `nil`: there is no driver of machines.
        var isAccelerated: Bool?
        var tier: String
    }

    private static let cases = [
        Case(description: "without machines", tier: "gvisor"),
        Case(description: "with machines that are emulated", isAccelerated: false, tier: "gvisor"),
        Case(description: "with KVM", isAccelerated: true, tier: "microvm"),
        Case(description: "an emulated one, by name", request: .microvm, isAccelerated: false, tier: "microvm"),
        Case(description: "gVisor by name", request: .gvisor, isAccelerated: true, tier: "gvisor"),
        Case(description: "the server's word", server: .microvm, isAccelerated: false, tier: "microvm"),
        Case(
            description: "the template's word before the server's", template: "gvisor", server: .microvm,
            isAccelerated: true, tier: "gvisor"),
        Case(
            description: "the request's word before the template's", request: .auto, template: "gvisor",
            isAccelerated: true, tier: "microvm"),
    ]

    private func node(template: String? = nil, tiers: String = #"["gvisor", "microvm"]"#) throws -> Node {
        let node = try Node()
        let path = node.path + "/templates/base/versions/v1/template.json"
        let more = template.map { #", "default_isolation": "\#($0)""# } ?? ""
        let text = try readText(path).replacingOccurrences(of: #"["gvisor"]"#, with: tiers + more)
        try writeText(text, to: path)
        return node
    }

    @Test(arguments: cases)
    private func `the request's word counts first, then the template's, then the server's`(example: Case) async throws {
        let node = try node(template: example.template)
        let machines = example.isAccelerated.map {
            ["microvm": FakeDriver(world: FakeWorld(), tier: "microvm", isAccelerated: $0)]
        }
        try await node.serve(drivers: machines ?? [:]) {
            $0.isolation = example.server
        } _: { runtime in
            let made = try await runtime.create(SandboxSpec(isolation: example.request), idempotency: nil)
            #expect(made.isolation == example.tier)
        }
    }

    @Test func `a tier is refused that the template is not made for, or the server does not have`() async throws {
        try await node(tiers: #"["gvisor"]"#).serve(
            drivers: ["microvm": FakeDriver(world: FakeWorld(), tier: "microvm", isAccelerated: true)]
        ) { runtime in
            let refused = await code {
                _ = try await runtime.create(SandboxSpec(isolation: .microvm), idempotency: nil)
            }
            #expect(refused == .unsupported)
            let automatic = try await runtime.create(SandboxSpec(isolation: .auto), idempotency: nil)
            #expect(automatic.isolation == "gvisor", "the template has no other")
        }
        try await node().serve { runtime in
            let refused = await code {
                _ = try await runtime.create(SandboxSpec(isolation: .microvm), idempotency: nil)
            }
            #expect(refused == .unsupported)
        }
    }
}

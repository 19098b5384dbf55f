import Isolation
import SandboxModel
import Testing

@testable import IsolationGVisor

@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(5)))
struct CapabilityTests {
    @Test(arguments: [GVisorConfiguration.Control.socket, .commandLine])
    func `the abilities of this machine are found by trying them`(control: GVisorConfiguration.Control) async throws {
        try await Fixture.with(control: control) { fixture in
            let found = await fixture.driver.capabilities()
            #expect(found.run == .init(available: true))
            #expect(found.pause == .init(available: true))
            #expect(found.checkpoint == .init(available: true))
            #expect(found.limits.available == (fixture.driver.layout != nil))
            #expect(!found.version.isEmpty && found.tier == "gvisor")
            let again = await fixture.driver.capabilities()
            #expect(again == found)
        }
    }

    @Test func `a missing runsc is told and not found out at the first start`() async throws {
        try await Fixture.with { fixture in
            var configuration = fixture.configuration
            configuration.runscPath = "/nowhere/runsc"
            let driver = GVisorDriver(configuration: configuration)
            let found = await driver.capabilities()
            #expect(!found.run.available && !found.checkpoint.available)
            #expect(found.run.reason?.contains("/nowhere/runsc") == true)
            let request = try fixture.request()
            await #expect(throws: SandboxError.self) { try await driver.start(request) }
        }
    }
}

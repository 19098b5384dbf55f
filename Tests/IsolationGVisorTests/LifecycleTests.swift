import Foundation
import GuestClient
import Isolation
import LinuxSystem
import SandboxModel
import Testing
import Wire

@testable import IsolationGVisor

@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(5)))
struct LifecycleTests {
    @Test func `a sandbox starts, runs commands and leaves nothing when it is destroyed`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            #expect(try await execution.shell("echo hello; id -u") == "hello\n0\n")
            #expect(try await execution.shell("cat /proc/sys/kernel/hostname") == "box\n")
            try await fixture.driver.destroy(request.execution)
            #expect(await execution.ended().code == nil)
            fixture.expectNothingLeft()
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a root that holds nothing but the init is enough`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request(lower: [fixture.directory + "/init", fixture.directory + "/empty"])
            let execution = try await fixture.driver.start(request)
            #expect(try await execution.guest.processTable().count >= 1)
            try await fixture.driver.destroy(request.execution)
        }
    }
}

import Foundation
import GuestClient
import Isolation
import IsolationShim
import LinuxSystem
import SandboxModel
import Testing
import Wire

@testable import IsolationGVisor

@Suite(.serialized, .enabled(if: Host.isReady, Host.reason), .timeLimit(.minutes(5)))
struct RecoveryTests {
    @Test func `another server finds a sandbox and goes on with its processes`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            var start = ProcessStart(arguments: ["/bin/sh", "-c", "echo first; read line; echo $line"])
            start.environment = ["PATH": "/bin"]
            start.input = .pipe
            var process: UInt32 = 0
            do {
                let execution = try await fixture.driver.start(request)
                process = try await execution.guest.start(start).info.id
                await execution.guest.close()
            }
            let later = GVisorDriver(configuration: fixture.configuration)
            #expect(try await later.survivors() == [request.execution])
            let execution = try await later.reattach(request.execution)
            let stream = try await execution.guest.attach(ProcessAttach(id: process, offset: 0))
            try await stream.write(Array("second\n".utf8))
            var text = ""
            while case .output(let bytes, _, _) = try await stream.next() {
                text += String(decoding: bytes, as: UTF8.self)
            }
            #expect(text == "first\nsecond\n")
            try await later.destroy(request.execution)
            #expect(try await later.survivors() == [])
        }
    }

    @Test func `a session that broke is opened again by the same server`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            await execution.guest.close()
            let again = try await fixture.driver.reattach(request.execution)
            #expect(try await again.shell("echo on") == "on\n")
            try await fixture.driver.destroy(request.execution)
            await #expect(throws: SandboxError.self) { try await fixture.driver.reattach(request.execution) }
        }
    }

    @Test func `a sandbox that was paused when the server died is reattached running`() async throws {
        try await Fixture.with { fixture in
            for mark in [GVisorSlot.Mark.paused, .pausing, .resuming] {
                let request = try fixture.request()
                let execution = try await fixture.driver.start(request)
                if mark == .paused { try await execution.pause() }
                (execution as? GVisorExecution)?.slot.mark(mark)
                await execution.guest.close()
                let later = GVisorDriver(configuration: fixture.configuration)
                let again = try await later.reattach(request.execution)
                #expect(try await again.shell("echo on") == "on\n")
                try await again.pause()
                try await again.resume()
                try await later.destroy(request.execution)
            }
        }
    }

    @Test func `prepared slots of a former server are removed`() async throws {
        try await Fixture.with { fixture in
            let half = fixture.configuration.slotsDirectory + "/abcdefabcdefgh"
            try FileManager.default.createDirectory(atPath: half + "/bundle", withIntermediateDirectories: true)
            let slot = try await fixture.driver.createSlot()
            #expect(try await fixture.driver.survivors() == [])
            #expect(!FileManager.default.fileExists(atPath: half))
            #expect(try DirectoryListing.names(fixture.configuration.slotsDirectory).contains(slot.id))
            let later = GVisorDriver(configuration: fixture.configuration)
            #expect(try await later.survivors() == [])
            fixture.expectNothingLeft()
        }
    }

    @Test func `a slot that nobody took ends when its server is gone`() async throws {
        try await Fixture.with { fixture in
            var configuration = fixture.configuration
            configuration.slotPatience = .seconds(2)
            let slot = try await GVisorDriver(configuration: configuration).createSlot()
            try await Task.sleep(for: .seconds(3))
            #expect(await slot.place.isUnused())
            slot.place.dropLease()
            try await eventually("the slot ends") {
                !FileManager.default.fileExists(atPath: slot.directory)
            }
            try await slot.remove()
        }
    }

    @Test func `what was promised to nobody ends when its server is gone, unless it was kept`() async throws {
        try await Fixture.with { fixture in
            var configuration = fixture.configuration
            configuration.slotPatience = .seconds(1)
            let driver = GVisorDriver(configuration: configuration)
            var requests: [StartRequest] = []
            var slots: [GVisorSlot] = []
            for provisional in [true, true, false] {
                var request = try fixture.request()
                request.isAhead = provisional
                let execution = try await driver.start(request)
                if slots.count == 1 { try await execution.keep() }
                // Frozen, as those are that wait for a creation. Nobody watches it: as if its server had died.
                try await execution.pause()
                slots.append(try #require((execution as? GVisorExecution)?.slot))
                requests.append(request)
            }
            try await eventually("the first one is gone") {
                !FileManager.default.fileExists(atPath: slots[0].directory)
            }
            try await Task.sleep(for: .seconds(3))
            for slot in slots.dropFirst() { #expect(FileManager.default.fileExists(atPath: slot.directory)) }
            for request in requests { try await driver.destroy(request.execution) }
            fixture.expectNothingLeft()
        }
    }

    @Test func `everything is removed when the shim was killed`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let slot = try #require((execution as? GVisorExecution)?.slot)
            try await execution.guest.ping(deadline: .seconds(5))
            async let end = execution.ended()
            kill(try #require(slot.place.process), SIGKILL)
            #expect(await end.code == nil)
            let later = GVisorDriver(configuration: fixture.configuration)
            #expect(try await later.survivors() == [request.execution])
            await #expect(throws: SandboxError.self) { try await later.reattach(request.execution) }
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a sandbox whose sentry was killed is reported and can be destroyed`() async throws {
        try await Fixture.with { fixture in
            let request = try fixture.request()
            let execution = try await fixture.driver.start(request)
            let slot = try #require((execution as? GVisorExecution)?.slot)
            kill(try await slot.shim.information(until: .now + .seconds(5)).sandbox, SIGKILL)
            #expect(await execution.ended().code == 137)
            #expect(await execution.guest.ended() != nil)
            let later = GVisorDriver(configuration: fixture.configuration)
            await #expect(throws: SandboxError.self) { try await later.reattach(request.execution) }
            try await fixture.driver.destroy(request.execution)
        }
    }

    @Test func `a destroy overtakes a start`() async throws {
        try await Fixture.with { fixture in
            for delay in [0, 5, 30, 60, 90, 120, 150] {
                let request = try fixture.request()
                async let started = fixture.driver.start(request)
                try await Task.sleep(for: .milliseconds(delay))
                try await fixture.driver.destroy(request.execution)
                // A destroy that came before the start was under way had nothing to do.
                let execution = try? await started
                try await fixture.driver.destroy(request.execution)
                if let execution { #expect(await execution.ended().code == nil) }
                fixture.expectNothingLeft()
            }
        }
    }

    @Test func `a cancelled start leaves nothing`() async throws {
        try await Fixture.with { fixture in
            for delay in [0, 20, 60, 100, 140] {
                let request = try fixture.request()
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try? await fixture.driver.start(request) }
                    try? await Task.sleep(for: .milliseconds(delay))
                    group.cancelAll()
                }
                try await fixture.driver.destroy(request.execution)
                fixture.expectNothingLeft()
            }
        }
    }
}

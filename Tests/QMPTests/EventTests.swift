import LinuxSystem
import SandboxModel
import Testing

@testable import QMP

@Suite struct EventTests {
    @Test func `an event before its wait is not lost, and everybody who waits gets it`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        let start = client.position
        async let stopped = client.run(.stop, until: .soon)
        try await peer.say(#"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}"#)
        try await peer.say(#"{"event": "RTC_CHANGE", "data": {"offset": 1}}"#)
        try await peer.answer(#""return": {}"#)
        _ = try await stopped
        for _ in 0..<2 {
            var position = start
            let event = try await client.event([.stop, .resume], from: &position, until: .soon)
            #expect(event == QMPEvent(name: .stop, data: .null))
            // Behind it there is nothing yet; what nobody asked for was dropped.
            #expect(position == client.position)
        }
    }

    @Test func `waits for events and commands do not hold each other up`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        try await withThrowingTaskGroup(of: QMPEvent.self) { group in
            for _ in 0..<3 {
                var position = client.position
                group.addTask { try await client.event([.shutdown], from: &position, until: .soon) }
            }
            try await Task.sleep(for: .milliseconds(20))
            for _ in 0..<3 {
                async let done = client.run(.stop, until: .soon)
                try await peer.answer(#""return": {}"#)
                _ = try await done
            }
            try await peer.say(#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#)
            for try await event in group { #expect(event.data["reason"]?.string == "guest-reset") }
        }
    }

    @Test func `whoever gives up reading leaves it to the others`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        let start = client.position
        try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask {
                var position = start
                let error = await #expect(throws: SandboxError.self) {
                    try await client.event([.reset], from: &position, until: .now + .milliseconds(60))
                }
                #expect(error?.code == .deadlineExceeded)
                return "late"
            }
            try await Task.sleep(for: .milliseconds(20))
            group.addTask {
                var position = start
                return try await client.event([.reset], from: &position, until: .soon).name.rawValue
            }
            #expect(try await group.next() == "late")
            try await peer.say(#"{"event": "RESET"}"#)
            #expect(try await group.next() == "RESET")
        }
    }

    @Test func `a flood of events holds nobody beyond the deadline`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        let flood = String(repeating: #"{"event": "RTC_CHANGE"}"# + "\n", count: 1000)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { while true { try await peer.say(flood, end: "") } }
            let begin = ContinuousClock.now
            let error = await #expect(throws: SandboxError.self) {
                try await client.run(.stop, until: .now + .milliseconds(100))
            }
            #expect(error?.code == .deadlineExceeded && begin.duration(to: .now) < .seconds(30))
            group.cancelAll()
            _ = try? await group.next()
        }
    }

    @Test func `events that were dropped are told, and not waited for`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        var position = client.position
        async let done = client.run(.cont, until: .soon)
        for _ in 0...Conversation.keptEvents { try await peer.say(#"{"event": "RESUME"}"#) }
        try await peer.answer(#""return": {}"#)
        _ = try await done
        let start = position
        let error = await #expect(throws: SandboxError.self) {
            var position = start
            return try await client.event([.stop], from: &position, until: .soon)
        }
        #expect(error?.monitorError == .eventsLost)
        position = client.position
        try await peer.say(#"{"event": "STOP"}"#)
        #expect(try await client.event([.stop], from: &position, until: .soon).name == .stop)
    }

    @Test func `closing ends the waits`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    var position = client.position
                    let error = await #expect(throws: SandboxError.self) {
                        try await client.event([.stop], from: &position, until: .soon)
                    }
                    #expect(error?.monitorError == .unusable("this side has closed it"))
                }
            }
            try await Task.sleep(for: .milliseconds(20))
            client.close()
            try await group.waitForAll()
        }
        await #expect(throws: FakeMonitor.Closed.self) { try await peer.command() }
    }
}

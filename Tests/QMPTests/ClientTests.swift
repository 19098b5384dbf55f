import LinuxSystem
import SandboxModel
import Testing

@testable import QMP

@Suite struct ClientTests {
    @Test func `a command is one line, and its answer is taken by its identifier`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        #expect(client.version.description == "7.2.22" && client.version.package == "p")
        async let status = client.run(.queryStatus, until: .soon)
        let command = try await peer.answer(#""return": {"running": true, "status": "running"}"#)
        #expect(command == #"{"execute":"query-status","id":2}"#)
        #expect(try await status == QMPStatus(["running": true, "status": "running"]))
        async let done: QMPNothing = client.run(
            .addMemoryFile("m", path: "/memory", size: 1 << 20, isShared: false), until: .soon)
        let line = try await peer.answer(#""return": {}"#)
        #expect(
            line == #"{"arguments":{"id":"m","mem-path":"/memory","qom-type":"memory-backend-file","share":false,"#
                + #""size":1048576},"execute":"object-add","id":3}"#)
        _ = try await done
    }

    @Test func `a refusal is the command's own, and the connection goes on`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        async let refused = failure { try await client.run(.removeObject("m"), until: .soon) }
        try await peer.answer(#""error": {"class": "GenericError", "desc": "object 'm' not found"}"#)
        let error = await refused
        #expect(error?.code == .driverFailed)
        #expect(
            error?.monitorError
                == .refused(command: "object-del", kind: "GenericError", reason: "object 'm' not found"))
        async let wrong = failure { try await client.run(.queryStatus, until: .soon) }
        try await peer.answer(#""return": {"running": 1}"#)
        let form = await wrong
        #expect(form?.monitorError == .unexpectedAnswer(command: "query-status", "no status"))
        async let more = failure { try await client.run(.stop, until: .soon) }
        try await peer.answer(#""return": []"#)
        #expect(await more?.monitorError == .unexpectedAnswer(command: "stop", "more than nothing"))
        async let fine = client.run(.stop, until: .soon)
        try await peer.answer(#""return": {}"#)
        _ = try await fine
    }

    @Test(arguments: [
        ("not JSON", "{\"return\": {}, ", QMPError.malformed("15 bytes that are not JSON")),
        ("an array", "[1]", .malformed("neither an answer nor an event")),
        ("no identifier", #"{"return": {}}"#, .malformed("neither an answer nor an event")),
        (
            "a line that QEMU could not read", #"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#,
            .malformed("JSON parse error")
        ),
        ("another identifier", #"{"return": {}, "id": 77}"#, .unknownIdentifier("77")),
        ("an identifier of another kind", #"{"return": {}, "id": "2"}"#, .unknownIdentifier("not a number")),
        ("nothing", #"{"id": 2}"#, .malformed("an answer that is neither a success nor an error")),
        (
            "both", #"{"id": 2, "return": {}, "error": {"class": "a", "desc": "b"}}"#,
            .malformed("an answer that is neither a success nor an error")
        ),
        ("an error without a reason", #"{"id": 2, "error": {}}"#, .malformed("an error without a reason")),
        ("an event without a name", #"{"event": 5}"#, .malformed("an event without a name")),
        ("bytes that are not text", "\u{0}\u{1}", .malformed("2 bytes that are not JSON")),
        (
            "deep nesting", String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000),
            .malformed("200000 bytes that are not JSON")
        ),
    ])
    func `what is not an answer ends the connection`(name: String, line: String, expected: QMPError) async throws {
        let (client, peer) = try await FakeMonitor.connected()
        async let answer = failure { try await client.run(.stop, until: .soon) }
        _ = try await peer.command()
        try await peer.say(line)
        let error = await answer
        #expect(error?.code == .driverFailed && error?.monitorError == expected, "\(name)")
        let again = await #expect(throws: SandboxError.self) { try await client.run(.cont, until: .soon) }
        #expect(again?.monitorError == expected)
    }

    @Test func `nesting that JSON readers accept is taken`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        async let value = client.run(.property("p", of: "/o"), until: .soon)
        let deep = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
        try await peer.answer("\"return\": \(deep)")
        guard case .array = try await value else { return #expect(Bool(false), "another value") }
    }

    @Test func `a line without end is refused at its bound`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        let part = String(repeating: "x", count: 100_000)
        async let answer = failure { try await client.run(.stop, until: .soon) }
        _ = try await peer.command()
        // The client hangs up nothing: it just stops reading, so the last parts may stay in the socket.
        for _ in 0..<11 { try? await peer.say(part, end: "") }
        let error = await answer
        #expect(error?.monitorError == .lineTooLong(limit: 1 << 20))
    }

    @Test func `an end in the middle of a line is told with what had come`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        async let answer = failure { try await client.run(.stop, until: .soon) }
        _ = try await peer.command()
        try await peer.say(#"{"return""#, end: "")
        await peer.end()
        let error = await answer
        #expect(error?.monitorError == .closed(unfinished: 9))
    }

    @Test func `an answer counts though the end comes with it`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        async let answer = client.run(.quit, until: .soon)
        try await peer.answer(#""return": {}"#)
        await peer.end()
        _ = try await answer
        let error = await #expect(throws: SandboxError.self) { try await client.run(.stop, until: .soon) }
        #expect(error?.code == .driverFailed)
    }

    @Test func `a peer that is no monitor is told apart from one that is silent`() async throws {
        let (left, right) = try FileDescriptor.socketPair()
        let peer = FakeMonitor(try UnixSocket(right))
        try await peer.say(#"{"return": {}}"#)
        let error = await #expect(throws: SandboxError.self) {
            try await QMPClient.open(try UnixSocket(left), until: .soon)
        }
        #expect(error?.monitorError == .malformed("the greeting is missing"))
        let (other, silent) = try FileDescriptor.socketPair()
        let late = await #expect(throws: SandboxError.self) {
            try await QMPClient.open(try UnixSocket(other), until: .now + .milliseconds(50))
        }
        #expect(late?.code == .deadlineExceeded)
        silent.close()
        let none = await #expect(throws: SandboxError.self) {
            try await QMPClient.connect("/nonexistent/qmp.sock", until: .soon)
        }
        #expect(none?.code == .driverFailed)
    }

    @Test func `a late answer is dropped, and the next command gets its own`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        let late = await #expect(throws: SandboxError.self) {
            try await client.run(.stop, until: .now + .milliseconds(50))
        }
        #expect(late?.code == .deadlineExceeded)
        async let status = client.run(.queryStatus, until: .soon)
        try await peer.answer(#""return": {}"#)
        try await peer.answer(#""return": {"running": false, "status": "paused"}"#)
        #expect(try await status.state == "paused")
        for _ in 0..<17 { _ = try? await client.run(.stop, until: .now + .milliseconds(2)) }
        let error = await #expect(throws: SandboxError.self) { try await client.run(.stop, until: .soon) }
        #expect(error?.monitorError == .unusable("17 commands without an answer"))
    }

    @Test func `a cancelled command leaves the connection usable`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let error = await #expect(throws: SandboxError.self) { try await client.run(.stop, until: .soon) }
                #expect(error?.code == .cancelled)
            }
            let first = try await peer.command()
            group.cancelAll()
            try await group.waitForAll()
            async let second = client.run(.cont, until: .soon)
            try await peer.say("{\"return\": {}, \"id\": \(try FakeMonitor.id(of: first))}")
            try await peer.answer(#""return": {}"#)
            _ = try await second
        }
    }

    @Test func `commands of many tasks go one at a time`() async throws {
        let (client, peer) = try await FakeMonitor.connected()
        try await withThrowingTaskGroup(of: Int64?.self) { group in
            for _ in 0..<20 { group.addTask { try await client.run(.property("p", of: "/o"), until: .soon).integer } }
            for number in 0..<20 { try await peer.answer("\"return\": \(number)") }
            let values = try await group.reduce(into: Set<Int64?>()) { $0.insert($1) }
            #expect(values.count == 20)
        }
    }

    @Test func `descriptors come with their command`() async throws {
        let (left, right) = try FileDescriptor.socketPair()
        let raw = try UnixSocket(right)
        async let opened = QMPClient.open(try UnixSocket(left), until: .soon)
        try await raw.send(Array((FakeMonitor.greeting + "\n").utf8))
        _ = try await raw.receive(until: .soon)
        try await raw.send(Array("{\"return\": {}, \"id\": 1}\n".utf8))
        let client = try await opened
        let (reading, writing) = try FileDescriptor.pipe()
        async let passed = client.run(.addDescriptor(writing), until: .soon)
        let (bytes, descriptors) = try await raw.receive(until: .soon)
        #expect(String(decoding: bytes, as: UTF8.self) == "{\"execute\":\"add-fd\",\"id\":2}\n")
        try #require(descriptors.count == 1)
        try descriptors[0].writeAll(Array("through".utf8))
        #expect(try await reading.read(until: .soon) == Array("through".utf8))
        try await raw.send(Array("{\"return\": {\"fdset-id\": 4, \"fd\": 9}, \"id\": 2}\n".utf8))
        #expect(try await passed.path == "/dev/fdset/4")
    }
}

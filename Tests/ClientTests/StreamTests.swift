import HTTPKit
import HTTPTypes
import Hummingbird
import NIOCore
import SandboxModel
import Testing

@testable import Client

/// Server-sent events: the parser by itself, and streams of a real server.
@Suite struct EventStreamTests {
    private static let stream =
        "id: 1\nevent: first\ndata: a\ndata:b\n\n: a comment\ndata: second\r\n\r\nevent: empty\n\ndata: cut"

    private static let events = [
        ServerSentEvent(event: "first", id: "1", data: "a\nb"),
        ServerSentEvent(event: "message", id: "1", data: "second"),
    ]

    @Test func `a stream is cut into the same events however it comes in pieces`() {
        for size in 1...Self.stream.utf8.count {
            var parser = ServerSentEventParser()
            var found: [ServerSentEvent] = []
            let bytes = Array(Self.stream.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                found += parser.feed(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(found == Self.events, "pieces of \(size)")
        }
    }

    @Test func `lines end by CR, LF or both`() {
        var parser = ServerSentEventParser()
        #expect(parser.feed("data: a\rdata: b\r\ndata: c\n\r\n".utf8).map(\.data) == ["a\nb\nc"])
    }

    private static func event(_ sequence: Int) -> EventResource {
        EventResource(
            sequence: Int64(sequence), at: Timestamp(unixNanoseconds: 0), sandbox: SandboxID(), name: nil, type: "t",
            detail: [:])
    }

    @Test func `followed events come one by one until the stream ends, unknown ones are passed over`() async throws {
        try await withServer { router in
            router.get("/v1/events") { request, context in
                let query = try Query(request, known: ["after", "follow"])
                let after = Int(try query.integer("after", in: 0...1000) ?? 0)
                return try await context.serveEvents(heartbeat: .milliseconds(5)) { sink in
                    for index in 1...3 {
                        try await sink.send(event: "event", id: "\(after + index)", data: Self.event(after + index))
                        try await sink.send(event: "from-a-newer-server", data: ["x": 1])
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
            }
        } _: { client in
            var sequences: [Int64] = []
            for try await event in try await client.followEvents(after: 4) { sequences.append(event.sequence) }
            #expect(sequences == [5, 6, 7])
        }
    }

    @Test func `an error in the middle of a stream is thrown where it comes`() async throws {
        try await withServer { router in
            router.get("/v1/sandboxes/{sandbox}/processes/{process}/output") { _, context in
                try await context.serveEvents { sink in
                    try await sink.send(
                        event: "output", id: "2",
                        data: OutputChunkResource(offset: 0, stream: "stdout", dataBase64: "aGk="))
                    throw SandboxError(.outputLost, "Too slow.")
                }
            }
        } _: { client in
            var chunks = 0
            do {
                for try await element in try await client.followOutput("x", 1) {
                    if case .output(let chunk) = element, chunk.dataBase64 == "aGk=" { chunks += 1 }
                }
                Issue.record("no error was thrown")
            } catch let error as SandboxError {
                #expect(error.code == .outputLost)
            }
            #expect(chunks == 1)
        }
    }
}

/// WebSockets: an attachment to a process that the server plays.
@Suite struct AttachmentTests {
    private static let process = ProcessResource(
        id: 1, pid: 10, command: ["cat"], directory: "/", user: "root", terminal: false, background: false,
        startedAt: Timestamp(unixNanoseconds: 0), outputStart: 0, outputEnd: 0, exit: nil)
    private static let exit = ExitResource(
        code: 3, signal: nil, timedOut: false, cause: .exited, endedAt: Timestamp(unixNanoseconds: 0), cpuSeconds: 0,
        maxMemoryBytes: 0)

    private struct Attached: Encodable {
        let type = "attached"
        let process = AttachmentTests.process
        let offset = 5
    }
    private struct Exited: Encodable {
        let type = "exit"
        let exit = AttachmentTests.exit
    }

    private static let path: RouterPath = "/v1/sandboxes/{sandbox}/processes/{process}/attach"

    @Test func `output, input and the exit go through`() async throws {
        try await withServer { router in
            router.get(Self.path) { _, context in
                try context.acceptWebSocket { socket in
                    try await socket.send(.text(JSONOutput.string(Attached())))
                    while let message = try await socket.next() {
                        switch message {
                        case .binary(var buffer):
                            #expect(buffer.readInteger(as: UInt8.self) == 0)
                            var copy = ByteBuffer(integer: UInt8(1))
                            copy.writeBuffer(&buffer)
                            try await socket.send(.binary(copy))
                        case .text(let text):
                            #expect(text.contains("close_stdin"))
                            try await socket.send(.binary(ByteBuffer(bytes: [2] + Array("end".utf8))))
                            try await socket.send(.text(JSONOutput.string(Exited())))
                            return
                        case .close: return
                        }
                    }
                }
            }
        } _: { client in
            let sent = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            try await client.attach("x", 1) { attachment in
                var (received, errors): ([UInt8], [UInt8]) = ([], [])
                try await attachment.send(sent)
                try await attachment.closeInput()
                for try await event in attachment.events {
                    switch event {
                    case .attached(let process, let offset): #expect((process.pid, offset) == (10, 5))
                    case .stdout(let bytes): received += bytes
                    case .stderr(let bytes): errors += bytes
                    case .exit(let exit): #expect(exit.code == 3)
                    }
                }
                #expect(received == sent)
                #expect(errors == Array("end".utf8))
            }
        }
    }

    @Test func `a refused upgrade is the server's error`() async throws {
        try await withServer { router in
            router.get(Self.path) { _, _ -> Response in throw SandboxError(.processNotFound, "There is no process 1.") }
        } _: { client in
            await #expect(
                performing: { try await client.attach("x", 1) { _ in } },
                throws: {
                    ($0 as? SandboxError)?.code == .processNotFound
                })
        }
    }

    @Test func `a connection that breaks before the exit is told as lost`() async throws {
        try await withServer { router in
            router.get(Self.path) { _, context in
                try context.acceptWebSocket { socket in try await socket.send(.text(JSONOutput.string(Attached()))) }
            }
        } _: { client in
            await #expect(
                performing: {
                    try await client.attach("x", 1) { attachment in for try await _ in attachment.events {} }
                },
                throws: { ($0 as? SandboxError)?.code == .unavailable })
        }
    }
}

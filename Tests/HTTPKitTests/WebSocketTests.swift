import HTTPKit
import NIOCore
import SandboxModel
import Testing

private let key = "Authorization: Bearer nj_secret\r\n"

@Suite(.timeLimit(.minutes(5))) struct WebSocketTests {
    private func open(_ server: RawClient.Address, _ path: String = "/socket/echo") async throws -> RawClient {
        let client = try await RawClient.connect(server)
        try await client.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\(key)\(RawClient.handshake)\r\n")
        let head = try await client.wait(for: "\r\n\r\n")
        #expect(head.hasPrefix("HTTP/1.1 101"))
        #expect(head.lowercased().contains("s3pplmbitxaq9kygzzhzrbk+xoo="))
        #expect(head.contains("X-Request-ID: req_"))
        client.forgetHead()
        return client
    }

    @Test func `messages are echoed, text and binary, whole and in fragments`() async throws {
        try await withServer { server in
            let client = try await open(server)
            try await client.send(RawClient.frame(opcode: 1, Array("hello".utf8)))
            try await client.wait { $0.bytes == [0x81, 5] + Array("hello".utf8) }
            client.forget()
            try await client.send(
                RawClient.frame(opcode: 2, [1, 2], fin: false) + RawClient.frame(opcode: 9, [7])
                    + RawClient.frame(opcode: 0, [3]))
            try await client.wait { $0.bytes == [0x8A, 1, 7, 0x82, 3, 1, 2, 3] }
            client.forget()
            let large = [UInt8](repeating: 9, count: 900_000)
            try await client.send(RawClient.frame(opcode: 2, large))
            try await client.wait { $0.bytes.count == large.count + 10 }
            await client.close()
        }
    }

    @Test func `a message sent together with the handshake is not lost`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            let head = "GET /socket/echo HTTP/1.1\r\nHost: x\r\n\(key)\(RawClient.handshake)\r\n"
            try await client.send(Array(head.utf8) + RawClient.frame(opcode: 1, Array("early".utf8)))
            try await client.wait(for: "early")
            await client.close()
        }
    }

    @Test func `the closing handshake is answered`() async throws {
        try await withServer { server in
            let client = try await open(server)
            try await client.send(RawClient.frame(opcode: 8, [0x03, 0xE8]))
            try await client.wait { $0.isClosed }
            #expect(client.bytes == [0x88, 2, 0x03, 0xE8])
            await client.close()
        }
    }

    @Test func `a handler that returns closes normally, one that throws tells the code`() async throws {
        try await withServer { server in
            let client = try await open(server)
            try await client.send(RawClient.frame(opcode: 1, Array("bye".utf8)))
            try await client.wait { $0.bytes == [0x88, 2, 0x03, 0xE8] }
            try await client.send(RawClient.frame(opcode: 8, [0x03, 0xE8]))
            try await client.wait { $0.isClosed }
            await client.close()
            let other = try await open(server)
            try await other.send(RawClient.frame(opcode: 1, Array("fail".utf8)))
            try await other.wait {
                $0.bytes.starts(with: [0x88, 17, 0x03, 0xF0]) && $0.text.contains("invalid_request")
            }
            await other.close()
        }
    }

    @Test(
        arguments: [
            (RawClient.frame(opcode: 1, [0xFF]), 1007),
            (Array(RawClient.frame(opcode: 2, [UInt8](repeating: 0, count: 2 << 20))[..<100]), 1009),
            (RawClient.frame(opcode: 0, [1]), 1002),
            ([0x81, 1, 0x41, 0x81, 1, 0x41], 1002),
        ] as [([UInt8], Int)])
    func `a breach of the protocol ends the socket with its code`(frame: [UInt8], code: Int) async throws {
        try await withServer { server in
            let client = try await open(server)
            try? await client.send(frame)
            try await client.wait { client in
                client.bytes.indices.contains(where: { index in
                    index + 3 < client.bytes.count && client.bytes[index] == 0x88
                        && Int(client.bytes[index + 2]) << 8 | Int(client.bytes[index + 3]) == code
                })
            }
            await client.close()
        }
    }

    @Test func `a refused WebSocket gets the ordinary error`() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(
                server, "GET /socket/none HTTP/1.1\r\nHost: x\r\n\(key)\(RawClient.handshake)\r\n")
            #expect(text.hasPrefix("HTTP/1.1 404"))
            #expect(text.contains("sandbox_not_found"))
            let unauthorized = try await RawClient.exchange(
                server, "GET /socket/echo HTTP/1.1\r\nHost: x\r\n\(RawClient.handshake)\r\n")
            #expect(unauthorized.hasPrefix("HTTP/1.1 401"))
            let plain = try await RawClient.exchange(
                server, "GET /public HTTP/1.1\r\nHost: x\r\n\(RawClient.handshake)\r\n")
            #expect(plain.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func `a WebSocket route without a handshake asks for one`() async throws {
        try await withServer { server in
            for extra in ["", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "Upgrade: websocket\r\n"] {
                let client = try await RawClient.connect(server)
                try await client.send("GET /socket/echo HTTP/1.1\r\nHost: x\r\n\(key)\(extra)\r\n")
                try await client.wait(for: "upgrade_required")
                #expect(client.text.hasPrefix("HTTP/1.1 426"))
                await client.close()
            }
        }
    }

    @Test func `an upgrade to anything else is answered as plain HTTP`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            try await client.send(
                "GET /public HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                    + "HTTP2-Settings: AAMAAABk\r\n\r\n")
            let text = try await client.wait { $0.isClosed }
            #expect(text.hasPrefix("HTTP/1.1 200") && text.hasSuffix("hello"))
            #expect(text.contains("Connection: close\r\n"))
            await client.close()
        }
    }

    @Test func `a silent peer is asked, and cut off if it does not answer`() async throws {
        var limits = ConnectionLimits()
        limits.webSocketPing = .milliseconds(50)
        try await withServer(limits: limits) { server in
            let client = try await open(server)
            try await client.wait { $0.bytes.starts(with: [0x89, 0]) }
            try await client.wait { $0.isClosed }
            await client.close()
        }
    }
}

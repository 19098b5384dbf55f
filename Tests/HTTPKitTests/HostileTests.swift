import Foundation
import Glibc
import NIOCore
import SandboxModel
import Synchronization
import Testing

@testable import HTTPKit

private let key = "Authorization: Bearer nj_secret\r\n"
private let second = "GET /private HTTP/1.1\r\nHost: x\r\n\(key)Connection: close\r\n\r\n"

/// What strangers may send over a plain socket. Each gets an answer that says what is wrong, or is cut off; nobody else
/// notices.
@Suite(.timeLimit(.minutes(5))) struct HostileTests {
    private static func post(_ headers: String, _ body: String = "{}", version: String = "1.1") -> String {
        "POST /echo HTTP/\(version)\r\nHost: x\r\n\(key)\(headers)\r\n\(body)"
    }
    private static func get(_ headers: String, target: String = "/private", version: String = "1.1") -> String {
        "GET \(target) HTTP/\(version)\r\n\(headers)\(key)\r\n"
    }
    private static let chunked = "Transfer-Encoding: chunked\r\n"
    private static let host = "Host: x\r\n"

    /// Requests that two programs on the way could end at different places.
    private static let shapes: [String] = [
        // Two lengths
        post("Content-Length: 5\r\n\(chunked)", "0\r\n\r\n\(second)"),
        post("\(chunked)Content-Length: 5\r\n", "0\r\n\r\n\(second)"),
        post("Content-Length: 2\r\nContent-Length: 2\r\n"), post("Content-Length: 2\r\nContent-Length: 40\r\n"),
        post("Content-Length: 2, 2\r\n"), post("Content-Length: +2\r\n"), post("Content-Length: -2\r\n"),
        post("Content-Length: 0x2\r\n"), post("Content-Length: 2 2\r\n"), post("Content-Length: \r\n"),
        post("Content-Length: 99999999999999999999999\r\n"), post("Content-Length : 2\r\n"),
        // Codings
        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), post("Transfer-Encoding: identity\r\n", "0\r\n\r\n"),
        post("\(chunked)Transfer-Encoding: identity\r\n", "0\r\n\r\n"), post("\(chunked)\(chunked)", "0\r\n\r\n"),
        post("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"), post(chunked, "0\r\n\r\n", version: "1.0"),
        // Chunks
        post(chunked, "zz\r\n{}\r\n0\r\n\r\n"), post(chunked, "0x2\r\n{}\r\n0\r\n\r\n"),
        post(chunked, "-2\r\n{}\r\n0\r\n\r\n"), post(chunked, "fffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        post(chunked, "2\r\n{}XX0\r\n\r\n"), post(chunked, "2\n{}\n0\n\n"), post(chunked, "2;a\nb\r\n{}\r\n0\r\n\r\n"),
        post(chunked, "2\r\n{}\r\n0\r\nContent-Length: 7\r\n\r\n"),
        // Lines
        get("\(host)X-A: a\r\n b\r\n"), get(" \(host)"), get("Host: x\n"), get("\(host)X-A: a\rX-B: b\r\n"),
        get("\(host)X-A: a\0b\r\n"), get("\(host)X-A : a\r\n"), get("\(host)XA\r\n"), get("\(host): a\r\n"),
        "GET /private HTTP/1.1\nHost: x\n\(key.dropLast(2))\n\n",
        // Hosts and targets
        get(""), get("Host: x\r\nHost: y\r\n"), get("Host: x/y z\r\n"), get("Host: a@b\r\n"), get("Host: x,y\r\n"),
        get(host, target: "http://x/private"), get(host, target: "private"), get(host, target: "*"),
        get(host, target: "/private#x"), "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\(key)\r\n",
        // Versions
        get(host, version: "2.0"), get(host, version: "1.2"), get(host, version: "11"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /private http/1.1\r\n\(host)\(key)\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n",
        // Two keys
        get("\(host)Authorization: Bearer x\r\n"),
    ]

    @Test(arguments: shapes.indices) func `an ambiguous request is refused, and nothing after it is read`(
        index: Int
    ) async throws {
        try await withServer { server in
            // As the first request of a connection, and as a later one.
            for before in ["", "GET /public HTTP/1.1\r\nHost: x\r\n\r\n"] {
                let text = try await RawClient.exchange(server, before + Self.shapes[index] + second)
                let statuses = text.matches(of: #/HTTP/1.1 ([0-9]{3}) /#).map { String($0.1) }
                let expected = before.isEmpty ? [] : ["200"]
                #expect(
                    statuses.dropLast() == expected[...] && statuses.last?.hasPrefix("4") == true, "\(text.prefix(900))"
                )
                #expect(!text.hasSuffix("tcp"))
            }
        }
    }

    @Test(arguments: [
        String(repeating: "X: y\r\n", count: 500), "X: \(String(repeating: "y", count: 100_000))\r\n",
        (0..<10).map { "X\($0): \(String(repeating: "y", count: 20_000))\r\n" }.joined(),
    ])
    func `a header bomb is refused`(bomb: String) async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(server, Self.get(Self.host + bomb))
            #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 431"), "\(text.prefix(200))")
            let trailer = Self.post(Self.chunked, "2\r\n{}\r\n0\r\n\(bomb)\r\n")
            #expect(try await RawClient.exchange(server, trailer).contains("HTTP/1.1 4"))
        }
    }

    @Test func `a large body on a route for JSON is refused before it is read`() async throws {
        try await withServer { server in
            let announced = try await RawClient.exchange(server, Self.post("Content-Length: 104857600\r\n"))
            #expect(announced.hasPrefix("HTTP/1.1 413") && announced.contains("body_too_large"))
            let client = try await RawClient.connect(server)
            try await client.send(Self.post(Self.chunked, ""))
            let piece = Array("10000\r\n".utf8) + [UInt8](repeating: 0x20, count: 65536) + Array("\r\n".utf8)
            var sent = 0
            // 100 MiB, if the server takes them.
            while sent < 1600, !client.isClosed {
                do { try await client.send(piece) } catch { break }
                sent += 1
            }
            try await client.wait { $0.isClosed }
            #expect(client.text.isEmpty || client.text.hasPrefix("HTTP/1.1 413"))
            #expect(sent < 1600)
            await client.close()
        }
    }

    @Test func `a body that hardly comes is given up`() async throws {
        var limits = ConnectionLimits()
        (limits.paceInterval, limits.paceIntervals) = (.milliseconds(50), 3)
        let quick = limits
        try await withServer(limits: quick) { server in
            let client = try await RawClient.connect(server)
            try await client.send(Self.post("Content-Length: 1000\r\n", "{"))
            let text = try await client.wait { $0.isClosed }
            #expect(text.hasPrefix("HTTP/1.1 408") && text.contains("request_timeout"))
            await client.close()
            let upload = try await RawClient.connect(server)
            try await upload.send("PUT /upload HTTP/1.1\r\nHost: x\r\n\(key)\(Self.chunked)\r\n1\r\n")
            #expect(try await upload.wait { $0.isClosed }.hasPrefix("HTTP/1.1 408"))
            await upload.close()
        }
    }

    @Test func `an answer that nobody reads is given up`() async throws {
        var limits = ConnectionLimits()
        (limits.paceInterval, limits.paceIntervals) = (.milliseconds(50), 3)
        let table = ConnectionTable(limit: 100)
        let quick = limits
        try await withServer(limits: quick, table: table) { server in
            let client = try await RawClient.connect(server)
            try await client.channel.setOption(.autoRead, value: false).get()
            try await client.send("GET /flood HTTP/1.1\r\nHost: x\r\n\(key)\r\n")
            try await eventually { table.count == 0 }
            await client.close()
        }
    }

    @Test func `strangers who take all places lose them to others`() async throws {
        let table = ConnectionTable(limit: 40)
        try await withServer(table: table) { server in
            let known = try await RawClient.connect(server)
            let request = "GET /private HTTP/1.1\r\nHost: x\r\n\(key)\r\n"
            try await known.send(request)
            try await known.wait(for: "tcp")
            var strangers: [RawClient] = []
            for index in 0..<200 {
                let stranger = try await RawClient.connect(server)
                try await stranger.send(index % 2 == 0 ? "" : "GET /pri")
                strangers.append(stranger)
            }
            // Somebody new gets in, and who had shown a key is still there.
            #expect(try await RawClient.exchange(server, second).hasSuffix("tcp"))
            known.forget()
            try await known.send(request)
            try await known.wait(for: "tcp")
            try await eventually { strangers.filter(\.isClosed).count >= 159 }
            #expect(table.count <= 40)
            for stranger in strangers { await stranger.close() }
            await known.close()
            try await eventually { table.count == 0 }
        }
    }

    @Test func `whoever holds the most connections loses them, and nobody else`() throws {
        let table = ConnectionTable(limit: 10)
        let cut = Mutex<[String]>([])
        func open(_ holder: String?, _ name: String) throws -> ConnectionTable.Place {
            let place = try #require(table.add { cut.withLock { $0.append(name) } })
            guard let holder else { return place }
            place.begin()
            place.know(holder)
            place.end()
            return place
        }
        _ = try open("quiet", "quiet")
        let busy = try open("greedy", "busy")
        busy.begin()
        for number in 0..<20 { _ = try open("greedy", "greedy \(number)") }
        #expect(cut.withLock { $0 } == (0..<12).map { "greedy \($0)" })
        // A stranger who has just come is not put out before them either.
        _ = try open(nil, "stranger")
        _ = try open("late", "late")
        #expect(cut.withLock { $0 } == (0..<14).map { "greedy \($0)" })
        // What was used last goes last.
        busy.end()
        for number in 0..<6 { _ = try open("late", "late \(number)") }
        #expect(!cut.withLock { $0 }.contains("quiet") && !cut.withLock { $0 }.contains("busy"))
        #expect(table.count == 10)
    }

    @Test func `connections that are reset before they are accepted leave no descriptors`() async throws {
        try await withServer { server in
            guard case .port(let port) = server else { throw ChannelError.operationUnsupported }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            (address.sin_port, address.sin_addr.s_addr) = (in_port_t(port).bigEndian, INADDR_LOOPBACK.bigEndian)
            func descriptors() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
            }
            let before = try descriptors()
            for _ in 0..<2000 {
                let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                var atOnce = linger(l_onoff: 1, l_linger: 0)
                setsockopt(client, SOL_SOCKET, SO_LINGER, &atOnce, socklen_t(MemoryLayout<linger>.size))
                _ = withUnsafeBytes(of: &address) { bytes in
                    bytes.baseAddress.map {
                        connect(
                            client, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size)
                        )
                    }
                }
                close(client)
            }
            #expect(try await RawClient.exchange(server, second).hasSuffix("tcp"))
            // Other tests of this process open some as well.
            try await eventually { (try? descriptors()).map { $0 < before + 300 } ?? false }
        }
    }

    @Test func `tiny frames of a WebSocket are read as slowly as a peer may send them`() async throws {
        var limits = ConnectionLimits()
        (limits.webSocketFrames, limits.webSocketRead) = (400, 512)
        let slow = limits
        try await withServer(limits: slow) { server in
            let client = try await openSocket(server)
            let frame: [UInt8] = [0x82, 0x81, 0, 0, 0, 0, 0x78]
            let began = ContinuousClock.now
            try await client.send([UInt8](repeatElement(frame, count: 2000).joined()))
            // Each comes back as three bytes.
            try await eventually { client.bytes.count == 2000 * 3 }
            // A second's worth of them, and what one read brings (the buffer for the head had 2 KiB), come at once.
            #expect(ContinuousClock.now - began > .milliseconds(2500))
            await client.close()
        }
    }

    @Test func `a client that leaves at any byte of its request leaves nothing behind`() async throws {
        let table = ConnectionTable(limit: 1000)
        try await withServer(table: table) { server in
            let requests = [
                Self.post("Content-Length: 14\r\n", #"{"text":"abcd"}"#),
                "GET /endless HTTP/1.1\r\nHost: x\r\n\(key)\r\n", "GET /flood HTTP/1.1\r\nHost: x\r\n\(key)\r\n",
                "GET /socket/echo HTTP/1.1\r\nHost: x\r\n\(key)\(RawClient.handshake)\r\n",
            ]
            for request in requests {
                let bytes = Array(request.utf8)
                for end in stride(from: 0, through: bytes.count, by: 3) {
                    let client = try await RawClient.connect(server)
                    try await client.send(Array(bytes[..<end]))
                    await client.close()
                }
            }
            try await eventually { table.count == 0 }
            #expect(try await RawClient.exchange(server, second).hasSuffix("tcp"))
        }
    }

    @Test(
        arguments: [
            [0xC1, 0x80, 1, 2, 3, 4],  // a reserved bit
            [0x83, 0x80, 1, 2, 3, 4],  // a reserved opcode
            [0x80, 0x80, 1, 2, 3, 4],  // a continuation of nothing
            [0x09, 0x80, 1, 2, 3, 4],  // a ping in fragments
            [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],  // a length with its top bit
            [0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0, 0, 0, 1, 2, 3, 4],  // two gigabytes
        ] as [[UInt8]])
    func `a frame that breaks the protocol ends the WebSocket`(frame: [UInt8]) async throws {
        try await withServer { server in
            let client = try await openSocket(server)
            try await client.send(frame)
            try await client.wait { $0.isClosed }
            #expect(client.bytes.isEmpty || client.bytes.first == 0x88)
            await client.close()
        }
    }

    @Test func `a flood of pings, of fragments or of tiny messages is bounded`() async throws {
        try await withServer { server in
            let pinger = try await openSocket(server)
            let pings = (0..<200).flatMap { _ in RawClient.frame(opcode: 9, [UInt8](repeating: 1, count: 125)) }
            for _ in 0..<50 where !pinger.isClosed { try? await pinger.send(pings) }
            try await pinger.wait { $0.isClosed }
            // At most a few hundred pongs, and the reason.
            #expect(pinger.bytes.count < 400 * 127)
            await pinger.close()

            let fragmenter = try await openSocket(server)
            let fragments = (0..<2000).flatMap { RawClient.frame(opcode: $0 == 0 ? 2 : 0, [1], fin: false) }
            try? await fragmenter.send(fragments)
            try await fragmenter.wait { $0.isClosed }
            await fragmenter.close()

            // Messages are slowed down to the pace of who takes them; none is lost.
            let talker = try await openSocket(server)
            let tiny = (0..<1000).flatMap { _ in RawClient.frame(opcode: 2, []) }
            for _ in 0..<10 { try await talker.send(tiny) }
            try await talker.wait { $0.bytes.count == 20_000 }
            await talker.close()
        }
    }

    private func openSocket(_ server: RawClient.Address) async throws -> RawClient {
        let client = try await RawClient.connect(server)
        try await client.send("GET /socket/echo HTTP/1.1\r\nHost: x\r\n\(key)\(RawClient.handshake)\r\n")
        try await client.wait(for: "\r\n\r\n")
        client.forgetHead()
        return client
    }

    private func eventually(_ condition: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(30)
        while !condition() {
            guard ContinuousClock.now < end else { throw RawClient.Timeout(got: "nothing") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

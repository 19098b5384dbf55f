import GuestClient
import SandboxModel
import Testing
import Wire

/// What a guest that means harm may send. Each ends the session with an error, and nothing traps or grows.
@Suite(.timeLimit(.minutes(5)))
struct HostileTests {
    /// One attack on a session with a process stream under way.
    struct Attack: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Whether only who reads the stream can notice it.
        var needsReader: Bool
        var act: @Sendable (FakeGuest, UInt32) async throws -> Void
        init(
            _ name: String, needsReader: Bool = false,
            _ act: @escaping @Sendable (FakeGuest, UInt32) async throws -> Void
        ) {
            testDescription = name
            self.needsReader = needsReader
            self.act = act
        }
    }

    @Test(arguments: frames + streams + floods)
    func `a breach of the protocol ends the session`(attack: Attack) async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        let stream = try await starting
        let reading = Task { attack.needsReader ? await code { while try await stream.next() != nil {} } : nil }
        try await attack.act(guest, id)
        let end = await session.ended()
        #expect(end?.code == .guestFailed)
        #expect(end?.cause != nil, "a breach, not a lost connection")
        if attack.needsReader { #expect(await reading.value == .guestFailed) }
        let next = await code { while try await stream.next() != nil {} }
        #expect(next == .guestFailed || attack.needsReader)
        let later = await code { _ = try await session.processes() }
        #expect(later == .guestFailed)
        #expect(session.openStreams == 0)
        await guest.hostIsGone()
    }

    static let frames: [Attack] = [
        Attack("noise") { guest, _ in await guest.send(bytes: [UInt8](repeating: 0x55, count: 1000)) },
        Attack("a length beyond the maximum") { guest, id in
            var bytes = await guest.encoded(Frame(.data, stream: id, payload: [1]))
            bytes[8...11] = [0xFF, 0xFF, 0xFF, 0xFF]
            await guest.send(bytes: bytes)
        },
        Attack("a sequence out of order") { guest, id in
            _ = await guest.encoded(Frame(.data, stream: id))
            await guest.send(data: [1], on: id)
        },
        Attack("an unknown kind") { guest, id in
            var bytes = await guest.encoded(Frame(.data, stream: id, payload: [1]))
            bytes[2] = 99
            await guest.send(bytes: bytes)
        },
        Attack("a wrong trailer") { guest, id in
            var bytes = await guest.encoded(Frame(.data, stream: id, payload: [1]))
            bytes[bytes.count - 1] ^= 1
            await guest.send(bytes: bytes)
        },
        Attack("a credit of a wrong length") { guest, id in
            await guest.send(Frame(.credit, stream: id, payload: [1, 2, 3]))
        },
        Attack("a close that cannot be read") { guest, id in await guest.send(Frame(.close, stream: id, payload: [0]))
        },
        Attack("a ping of more than 64 bytes") { guest, _ in
            await guest.send(Frame(.ping, stream: 0, payload: [UInt8](repeating: 0, count: 65)))
        },
        Attack("a ping on a stream") { guest, id in await guest.send(Frame(.ping, stream: id)) },
        Attack("a pong that nobody asked for") { guest, _ in
            await guest.send(Frame(.pong, stream: 0, payload: [UInt8](repeating: 0xFF, count: 8)))
        },
    ]

    static let streams: [Attack] = [
        Attack("data on a stream that was never opened") { guest, _ in await guest.send(data: [1], on: 999) },
        Attack("a message on a stream that was never opened") { guest, _ in await guest.send(.ok, on: 4_294_967_295) },
        Attack("a close of a stream that was never opened") { guest, _ in await guest.close(1001) },
        Attack("credit on an even stream") { guest, _ in await guest.send(credit: 1, on: 2) },
        Attack("data on stream 0") { guest, _ in await guest.send(data: [1], on: 0) },
        Attack("a close of stream 0") { guest, _ in await guest.close(0) },
        Attack("a second hello") { guest, _ in await guest.send(.hello(.test), on: 0) },
        Attack("an open of the host's own stream") { guest, id in
            await guest.send(Frame(.open, stream: id, payload: Request.processList.encoded()))
        },
        Attack("an open of a host's request") { guest, _ in
            await guest.send(Frame(.open, stream: 2, payload: Request.processList.encoded()))
        },
        Attack("an open that cannot be read") { guest, _ in
            await guest.send(Frame(.open, stream: 2, payload: [200, 200]))
        },
        Attack("an open in parts") { guest, _ in await guest.send(Frame(.open, stream: 2, flags: .more, payload: [1]))
        },
        Attack("an open of the same stream again") { guest, _ in
            let payload = Request.serviceConnect(name: "x").encoded()
            await guest.send(Frame(.open, stream: 4, payload: payload))
            await guest.send(Frame(.open, stream: 4, payload: payload))
        },
        Attack("data after the end") { guest, id in
            await guest.send(data: [1], on: id, flags: .end)
            await guest.send(data: [1], on: id)
        },
        Attack("frames after its own close") { guest, id in
            await guest.close(id, WireStatus(.failed))
            await guest.send(data: [1], on: id)
        },
        Attack("a reply of the wrong type", needsReader: true) { guest, id in await guest.send(.ok, on: id, final: true)
        },
        Attack("a reply that cannot be read", needsReader: true) { guest, id in
            await guest.send(Frame(.message, stream: id, flags: .final, payload: [0xFF, 0xFF, 1]))
        },
    ]

    static let floods: [Attack] = [
        Attack("data beyond the window") { guest, id in
            await guest.send(data: [UInt8](repeating: 0, count: Frame.initialWindow + 1), on: id)
        },
        Attack("credit beyond all bounds") { guest, id in
            for _ in 0..<3 { await guest.send(credit: 0x7FFF_FFFF, on: id) }
        },
        Attack("parts without end") { guest, id in
            let part = [UInt8](repeating: 0, count: Frame.maximumPayload)
            for _ in 0...(Frame.maximumMessage / part.count) {
                await guest.send(Frame(.message, stream: id, flags: .more, payload: part))
            }
        },
        Attack("empty parts without end") { guest, id in await guest.send(Frame(.message, stream: id, flags: .more)) },
        Attack("messages without end") { guest, id in
            for _ in 0..<3 { await guest.send(.exited(.success), on: id) }
        },
        Attack("pings without end") { guest, _ in
            for _ in 0..<100_000 { await guest.send(Frame(.ping, stream: 0)) }
        },
        Attack("data without bytes without end") { guest, id in
            for _ in 0..<100_000 { await guest.send(Frame(.data, stream: id)) }
        },
        Attack("credit of nothing without end") { guest, id in
            for _ in 0..<100_000 { await guest.send(credit: 0, on: id) }
        },
        Attack("pings without reading the pongs") { guest, _ in
            try await guest.reads(false)
            for _ in 0..<100_000 {
                await guest.send(Frame(.ping, stream: 0, payload: [UInt8](repeating: 0, count: 64)))
            }
            // The host may have hung up by now.
            try? await guest.reads(true)
        },
    ]

    @Test func `data on streams that the host closed is bounded by what it had granted`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        await (try await starting).detach()
        await guest.send(data: [UInt8](repeating: 0, count: Frame.initialWindow), on: id)
        async let ping: Void = session.ping(deadline: .seconds(20))
        await guest.send(Frame(.pong, stream: 0, payload: try await pingPayload(guest)))
        try await ping
        await guest.send(data: [1], on: id)
        #expect(await session.ended()?.code == .guestFailed)
    }

    @Test func `data on a stream that carries none ends the session`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let code = code { _ = try await session.metrics() }
        let (id, _) = try await guest.request()
        await guest.send(data: [1], on: id)
        #expect(await code == .guestFailed)
    }

    @Test func `data before the first reply ends the session`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let code = code { _ = try await session.start(ProcessStart(arguments: ["test"])) }
        let (id, _) = try await guest.request()
        await guest.send(data: [1], on: id)
        #expect(await code == .guestFailed)
    }

    @Test func `wrong replies to a run end the session`() async throws {
        for replies: [Reply] in [[.exited(.success)], [.started(.test(1)), .ok], [.ok, .exited(.success)]] {
            let (guest, session) = try await FakeGuest.session()
            async let code = code {
                _ = try await session.run(ProcessStart(arguments: ["x"]), input: nil, outputLimit: 1)
            }
            let (id, _) = try await guest.request()
            for (index, reply) in replies.enumerated() {
                await guest.send(reply, on: id, final: index == replies.count - 1)
            }
            #expect(await code == .guestFailed)
            #expect(await session.ended()?.code == .guestFailed)
        }
    }

    @Test func `records that lie about their length end the session`() async throws {
        for bytes: [UInt8] in [[0xFF, 0xFF, 0xFF, 0x7F, 1], [1, 0, 0, 0, 99], [2, 0, 0, 0, 2, 77], [0, 0, 0, 0]] {
            let (guest, session) = try await FakeGuest.session()
            async let listing = session.list(Array("/".utf8), depth: 1)
            let (id, _) = try await guest.request()
            await guest.send(.ok, on: id)
            await guest.send(data: bytes, on: id)
            let stream = try await listing
            let code = await code { _ = try await stream.next() }
            #expect(code == .guestFailed)
            #expect(await session.ended()?.code == .guestFailed)
        }
    }

    @Test func `a path longer than Linux allows ends the session`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let code = code { _ = try await session.stat(Array("/".utf8), follow: false) }
        let (id, _) = try await guest.request()
        await guest.send(.file(.test("/" + String(repeating: "x", count: 5000))), on: id)
        #expect(await code == .guestFailed)
        #expect(await session.ended()?.code == .guestFailed)
    }

    @Test func `blockers are few, short and without control characters`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let blockers = session.checkpointBlockers()
        let (id, _) = try await guest.request()
        let line = "\u{1B}[2J" + String(repeating: "x", count: 1000)
        await guest.send(.blockers([String](repeating: line, count: 40)), on: id)
        let found = try await blockers
        #expect(found.count == 16)
        #expect(found.allSatisfy { $0.utf8.count <= 310 && !$0.contains("\u{1B}") })
        await session.close()
    }

    @Test func `many tiny pieces that nobody reads are joined`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        let stream = try await starting
        for index in 0..<2000 { await guest.send(data: [UInt8(truncatingIfNeeded: index)], on: id) }
        await guest.send(Frame(.ping, stream: 0))
        while try await guest.next().kind != .pong {}
        guard case .output(let bytes, _, 0)? = try await stream.next() else {
            Issue.record("no output")
            return
        }
        #expect(bytes == (0..<2000).map { UInt8(truncatingIfNeeded: $0) })
        await session.close()
    }

    private func pingPayload(_ guest: FakeGuest) async throws -> [UInt8] {
        while true {
            let frame = try await guest.next()
            if frame.kind == .ping { return frame.payload }
        }
    }
}

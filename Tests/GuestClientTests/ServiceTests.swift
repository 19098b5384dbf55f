import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct ServiceTests {
    @Test func `a connection from inside reaches its handler`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let services = [HostService(name: "echo", port: 7000)]
        let offering = Task {
            try await session.offer(services) { name, tunnel in
                guard name == "echo" else { return }
                try? await { for try await bytes in tunnel { try await tunnel.write(bytes.reversed()) } }()
                try? await tunnel.closeWrite()
            }
        }
        let (id, request) = try await guest.request()
        #expect(request == .services(services))
        await guest.send(.ok, on: id, final: true)
        await connect(guest, 2, "echo")
        #expect(try await guest.next() == Frame(.message, stream: 2, payload: Reply.ok.encoded()))
        await guest.send(data: [1, 2, 3], on: 2)
        #expect(try await guest.next() == Frame(.data, stream: 2, payload: [3, 2, 1]))
        await guest.send(data: [], on: 2, flags: .end)
        #expect(try await guest.next() == Frame(.data, stream: 2, flags: .end))
        #expect(try await guest.next().kind == .close)
        #expect(session.openStreams == 0, "the guest's streams do not count")
        // Withdrawn with its task.
        offering.cancel()
        try await offering.value
        let (_, withdrawal) = try await guest.request()
        #expect(withdrawal == .services([]))
        #expect(try await guest.next().kind == .close)
        await connect(guest, 4, "echo")
        try await expectRefusal(of: 4, guest)
        await session.close()
    }

    @Test func `a connection to what is not offered is refused`() async throws {
        let (guest, session) = try await FakeGuest.session()
        await connect(guest, 2, "secrets")
        try await expectRefusal(of: 2, guest)
        async let stat = session.stat([47], follow: true)
        let (id, _) = try await guest.request()
        await guest.send(.file(.test("/")), on: id, final: true)
        _ = try await stat
        await session.close()
    }

    @Test func `a flood of connections is refused beyond the bound`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let offering = Task {
            try await session.offer([HostService(name: "sink", port: 1)]) { _, tunnel in
                _ = try? await tunnel.next()
            }
        }
        let (id, _) = try await guest.request()
        await guest.send(.ok, on: id, final: true)
        for index in 1...256 {
            await connect(guest, UInt32(2 * index), "sink")
            #expect(try await guest.next().kind == .message)
        }
        await connect(guest, 514, "sink")
        try await expectRefusal(of: 514, guest)
        // One goes, one comes.
        await guest.close(2)
        await connect(guest, 516, "sink")
        #expect(try await guest.next().kind == .message)
        await session.close()
        try await offering.value
    }

    @Test func `only one offer runs at a time`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let offering = Task { try await session.offer([]) { _, _ in } }
        let (id, _) = try await guest.request()
        await guest.send(.ok, on: id, final: true)
        let code = await code { try await session.offer([]) { _, _ in } }
        #expect(code == .invalidState)
        async let ping: Void = session.ping(deadline: .seconds(20))
        await guest.send(Frame(.pong, stream: 0, payload: try await guest.next().payload))
        try await ping
        await session.close()
        try await offering.value
    }

    @Test func `an offer that the guest refuses throws`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let code = code { try await session.offer([HostService(name: "x", port: 80)]) { _, _ in } }
        let (id, _) = try await guest.request()
        await guest.close(id, WireStatus(.invalid, "Port 80 is taken"))
        #expect(await code == .notApplicable)
        await session.close()
    }

    private func connect(_ guest: FakeGuest, _ stream: UInt32, _ name: String) async {
        await guest.send(Frame(.open, stream: stream, payload: Request.serviceConnect(name: name).encoded()))
    }

    private func expectRefusal(of stream: UInt32, _ guest: FakeGuest) async throws {
        let frame = try await guest.next()
        #expect(frame.kind == .close && frame.stream == stream)
        #expect(try WireStatus(decoding: frame.payload).code == .refused)
    }
}

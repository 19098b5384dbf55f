import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct HandshakeTests {
    @Test func `a session begins with the guest's hello`() async throws {
        let (_, session) = try await FakeGuest.session()
        #expect(session.hello == .test)
        #expect(session.openStreams == 0)
        await session.close()
    }

    @Test func `what is left of a former session is skipped`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let opened = GuestSession.open(descriptor: descriptor, deadline: .seconds(120), logger: quiet)
        let nonce = try await guest.opening()
        var junk: [UInt8] = []
        var former = FrameEncoder()
        for index in 0..<50 {
            let text = [UInt8](repeating: UInt8(index), count: index * 100)
            former.encode(Frame(.data, stream: 1, payload: text), into: &junk)
        }
        junk.removeLast(1000)
        junk += Resync.answer(nonce: [UInt8](repeating: 9, count: Resync.nonceSize))
        junk += Resync.answer(nonce: nonce).prefix(20)
        await guest.send(bytes: junk)
        await guest.send(bytes: Resync.answer(nonce: nonce))
        await guest.send(.hello(.test), on: 0)
        let session = try await opened
        #expect(session.hello == .test)
        await session.close()
    }

    @Test func `an answer that comes byte by byte is understood`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let opened = GuestSession.open(descriptor: descriptor, deadline: .seconds(120), logger: quiet)
        let nonce = try await guest.opening()
        let hello = await guest.encoded(Frame(.message, stream: 0, payload: Reply.hello(.test).encoded()))
        try await guest.send(slowly: Resync.answer(nonce: nonce) + hello)
        let session = try await opened
        async let stat = session.stat(Array("/a".utf8), follow: true)
        let (stream, _) = try await guest.request()
        let reply = Frame(.message, stream: stream, flags: .final, payload: Reply.file(.test("/a")).encoded())
        try await guest.send(slowly: await guest.encoded(reply))
        let info = try await stat
        #expect(info == .test("/a"))
        await session.close()
    }

    @Test func `a guest that never answers runs into the deadline and loses the channel`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        let code = await code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .milliseconds(50), logger: quiet)
        }
        #expect(code == .deadlineExceeded)
        await guest.hostIsGone()
    }

    @Test func `a guest that answers and does not greet runs into the deadline`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let code = code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .milliseconds(200), logger: quiet)
        }
        let nonce = try await guest.opening()
        await guest.send(bytes: Resync.answer(nonce: nonce))
        #expect(await code == .deadlineExceeded)
        await guest.hostIsGone()
    }

    @Test func `junk without end is not skipped forever`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let code = code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(50), logger: quiet)
        }
        let junk = [UInt8](repeating: 0, count: 1 << 20)
        for _ in 0..<66 { await guest.send(bytes: junk) }
        #expect(await code == .guestFailed)
        await guest.hostIsGone()
    }

    @Test(arguments: [
        Hello(oldestGeneration: 2, newestGeneration: 3, version: "new", boot: 1),
        Hello(oldestGeneration: 0, newestGeneration: 0, version: "old", boot: 1),
        Hello(oldestGeneration: 3, newestGeneration: 1, version: "liar", boot: 1),
        Hello(oldestGeneration: 1, newestGeneration: 1, version: String(repeating: "x", count: 10_000), boot: 1),
    ])
    func `a guest without a generation in common is refused`(hello: Hello) async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let greeting: Void = guest.greet(hello)
        let code = await code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(120), logger: quiet)
        }
        try await greeting
        #expect(code == .guestFailed)
        await guest.hostIsGone()
    }

    @Test func `a guest of newer generations that still speaks ours is taken`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        let hello = Hello(oldestGeneration: 0, newestGeneration: 9, version: "newer", boot: 1)
        async let greeting: Void = guest.greet(hello)
        let session = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(120), logger: quiet)
        try await greeting
        #expect(session.hello == hello)
        await session.close()
    }

    @Test func `a guest that begins with something else is refused`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let code = code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(120), logger: quiet)
        }
        let nonce = try await guest.opening()
        await guest.send(bytes: Resync.answer(nonce: nonce))
        await guest.send(.ok, on: 0)
        #expect(await code == .guestFailed)
    }

    @Test func `cancelling the opening closes the channel`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        let task = Task {
            await code {
                _ = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(50), logger: quiet)
            }
        }
        _ = try await guest.opening()
        task.cancel()
        #expect(await task.value == .cancelled)
        await guest.hostIsGone()
    }

    @Test func `a guest that hangs up during the opening is an error`() async throws {
        let (guest, descriptor) = try await FakeGuest.make()
        async let code = code {
            _ = try await GuestSession.open(descriptor: descriptor, deadline: .seconds(50), logger: quiet)
        }
        _ = try await guest.opening()
        try await guest.hangUp()
        #expect(await code == .guestFailed)
    }
}

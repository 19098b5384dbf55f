import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct EndTests {
    @Test func `closing a session fails what is under way and is no error of the guest`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let waiting = code { _ = try await session.wait(process: 1) }
        _ = try await guest.request()
        async let end = session.ended()
        await session.close()
        await session.close()
        #expect(await waiting == .unavailable)
        #expect(await end == nil)
        #expect(await session.ended() == nil)
        let later = await code { _ = try await session.processes() }
        #expect(later == .unavailable)
        let ping = await code { try await session.ping(deadline: .seconds(20)) }
        #expect(ping == .unavailable)
        await guest.hostIsGone()
    }

    @Test func `a guest that goes away fails what is under way`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let running = code {
            _ = try await session.run(ProcessStart(arguments: ["x"]), input: nil, outputLimit: 1)
        }
        async let pinging = code { try await session.ping(deadline: .seconds(20)) }
        _ = try await guest.next()
        _ = try await guest.next()
        try await guest.hangUp()
        #expect(await running == .guestFailed)
        #expect(await pinging == .guestFailed)
        #expect(await session.ended()?.code == .guestFailed)
    }

    @Test func `what arrived before the end stays readable`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        let stream = try await starting
        await guest.send(data: [1, 2], on: id)
        await guest.send(.exited(.success), on: id, final: true)
        try await guest.hangUp()
        #expect(await session.ended()?.code == .guestFailed)
        #expect(try await stream.next() == .output(bytes: [1, 2], stderr: false, offset: 0))
        #expect(try await stream.next() == .exited(.success))
        #expect(try await stream.next() == nil)
    }

    @Test func `letting go of a session closes its channel`() async throws {
        let guest: FakeGuest
        do {
            let (peer, session) = try await FakeGuest.session()
            guest = peer
            #expect(session.openStreams == 0)
        }
        await guest.hostIsGone()
    }

    @Test func `a cancelled wait for the end returns`() async throws {
        let (_, session) = try await FakeGuest.session()
        let waiting = Task { await session.ended() }
        waiting.cancel()
        #expect(await waiting.value?.code == .cancelled)
        await session.close()
    }

    @Test func `a deaf guest hangs no request and the session goes on`() async throws {
        let (guest, session) = try await FakeGuest.session(requestDeadline: .milliseconds(50))
        let requests: [@Sendable () async throws -> Void] = [
            { _ = try await session.stat([47], follow: true) },
            { _ = try await session.start(ProcessStart(arguments: ["x"])) },
            { _ = try await session.run(ProcessStart(arguments: ["x"]), input: [1], outputLimit: 1) },
            { _ = try await session.read([47], offset: 0, length: -1) },
            { _ = try await session.list([47], depth: 1) },
            { _ = try await session.dial(port: 1) },
            { try await session.setHostname("x") },
        ]
        for request in requests {
            let code = await code { try await request() }
            #expect(code == .deadlineExceeded)
            let id = try await guest.next().stream
            var frame = try await guest.next()
            if frame.kind == .data { frame = try await guest.next() }
            #expect(frame.kind == .close && frame.stream == id)
        }
        let ping = await code { try await session.ping(deadline: .milliseconds(20)) }
        #expect(ping == .deadlineExceeded)
        let pong = Frame(.pong, stream: 0, payload: try await guest.next().payload)
        #expect(session.openStreams == 0)
        // Late answers are no breach.
        await guest.send(.file(.test("/")), on: 1, final: true)
        await guest.send(pong)
        async let again = session.ping(deadline: .seconds(20))
        await guest.send(Frame(.pong, stream: 0, payload: try await guest.next().payload))
        try await again
        await session.close()
    }

    @Test func `a run has a deadline for its start only`() async throws {
        let (guest, session) = try await FakeGuest.session(requestDeadline: .seconds(2))
        async let running = session.run(ProcessStart(arguments: ["x"]), input: nil, outputLimit: 1)
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        let stat = await code { _ = try await session.stat([47], follow: true) }
        #expect(stat == .deadlineExceeded)
        await guest.send(.exited(.success), on: id, final: true)
        #expect(try await running.exit == .success)
        await session.close()
    }

    @Test func `waiting for a process has no deadline`() async throws {
        let (guest, session) = try await FakeGuest.session(requestDeadline: .milliseconds(50))
        async let waiting = session.wait(process: 4)
        let (id, request) = try await guest.request()
        #expect(request == .processWait(id: 4))
        let stat = await code { _ = try await session.stat([47], follow: true) }
        #expect(stat == .deadlineExceeded)
        await guest.send(.exited(.success), on: id, final: true)
        #expect(try await waiting == .success)
        await session.close()
    }

    @Test func `cancelling a wait closes its stream`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let waits: [@Sendable () async throws -> Void] = [
            { _ = try await session.wait(process: 1) },
            { _ = try await session.run(ProcessStart(arguments: ["x"]), input: nil, outputLimit: 1) },
            { _ = try await session.start(ProcessStart(arguments: ["x"])) },
            { _ = try await session.metrics() },
        ]
        for wait in waits {
            let task = Task { await code { try await wait() } }
            let (id, _) = try await guest.request()
            task.cancel()
            #expect(await task.value == .cancelled)
            let frame = try await guest.next()
            #expect(frame.kind == .close && frame.stream == id)
            #expect(session.openStreams == 0)
        }
        await session.close()
    }

    @Test func `a request of a task that is cancelled already is not sent`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return [
                await code { _ = try await session.metrics() },
                await code { _ = try await session.run(ProcessStart(arguments: ["x"]), input: nil, outputLimit: 1) },
                await code { try await session.ping(deadline: .seconds(20)) },
            ]
        }
        #expect(await task.value == [.cancelled, .cancelled, .cancelled])
        async let ping: Void = session.ping(deadline: .seconds(20))
        let frame = try await guest.next()
        #expect(frame.kind == .ping)
        await guest.send(Frame(.pong, stream: 0, payload: frame.payload))
        try await ping
        await session.close()
    }

    @Test func `cancelling a reader or a writer of a process detaches`() async throws {
        let (guest, session) = try await FakeGuest.session()
        for writes in [false, true] {
            async let starting = session.start(ProcessStart(arguments: ["test"]))
            let (id, _) = try await guest.request()
            await guest.send(.started(.test(1)), on: id)
            let stream = try await starting
            let task = Task {
                await code {
                    if writes {
                        try await stream.write([UInt8](repeating: 0, count: Frame.initialWindow + 1))
                    } else {
                        _ = try await stream.next()
                    }
                }
            }
            if writes { _ = try await guest.next() }
            task.cancel()
            #expect(await task.value == .cancelled)
            while try await guest.next().kind != .close {}
        }
        #expect(session.openStreams == 0)
        await session.close()
    }

    @Test func `a body that fails drops the write`() async throws {
        struct Broken: Error {}
        let (guest, session) = try await FakeGuest.session()
        let body = AsyncThrowingStream<[UInt8], any Error> { continuation in
            continuation.yield([1, 2, 3])
            continuation.finish(throwing: Broken())
        }
        await #expect(throws: Broken.self) {
            _ = try await session.write(FileWrite(path: Array("/f".utf8)), body: body)
        }
        let (id, _) = try await guest.request()
        #expect(try await guest.next().payload == [1, 2, 3])
        let frame = try await guest.next()
        #expect(frame.kind == .close && frame.stream == id)
        #expect(try WireStatus(decoding: frame.payload).code == .cancelled)
        await session.close()
    }

    @Test func `a quiesced session has sent everything`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: id)
        let stream = try await starting
        try await stream.write([UInt8](repeating: 1, count: Frame.initialWindow))
        async let quiet: Void = session.quiesce(deadline: .seconds(20))
        var got = 0
        var frame = try await guest.next()
        while frame.kind == .data {
            got += frame.payload.count
            frame = try await guest.next()
        }
        #expect(got == Frame.initialWindow)
        #expect(frame.kind == .ping)
        await guest.send(Frame(.pong, stream: 0, payload: frame.payload))
        try await quiet
        await session.close()
    }
}

import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct ExecTests {
    @Test func `a run sends its request and input together and returns all output`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let running = session.run(ProcessStart(arguments: ["cat"]), input: Array("in".utf8), outputLimit: 100)
        let (stream, request) = try await guest.request()
        let input = try await guest.next()
        var expected = ProcessStart(arguments: ["cat"])
        expected.input = .pipe
        #expect(request == .processStart(expected))
        #expect(input == Frame(.data, stream: stream, flags: .end, payload: Array("in".utf8)))
        await guest.send(.started(.test(5)), on: stream)
        await guest.send(data: Array("out".utf8), on: stream)
        await guest.send(data: Array("err".utf8), on: stream, flags: .stderr)
        await guest.send(data: Array("put".utf8), on: stream)
        await guest.send(.exited(.success), on: stream, final: true)
        let result = try await running
        let whole = ProcessResult(
            id: 5, exit: .success, stdout: Array("output".utf8), stderr: Array("err".utf8), stdoutTruncated: false,
            stderrTruncated: false)
        #expect(result == whole)
        #expect(session.openStreams == 0)
    }

    @Test func `a run without input sends only its request`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let running = session.run(ProcessStart(arguments: ["true"]), input: nil, outputLimit: 0)
        let (stream, request) = try await guest.request()
        #expect(request == .processStart(ProcessStart(arguments: ["true"])))
        await guest.send(.started(.test(1)), on: stream)
        await guest.send(.exited(.success), on: stream, final: true)
        _ = try await running
        async let ping: Void = session.ping(deadline: .seconds(20))
        let frame = try await guest.next()
        #expect(frame.kind == .ping)
        await guest.send(Frame(.pong, stream: 0, payload: frame.payload))
        try await ping
    }

    @Test func `output beyond the limit is dropped, counted and credited`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let running = session.run(ProcessStart(arguments: ["yes"]), input: nil, outputLimit: 1000)
        let (stream, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: stream)
        let piece = [UInt8](repeating: 7, count: Frame.initialWindow / 2)
        for _ in 0..<20 {
            await guest.send(data: piece, on: stream)
            let credit = try await guest.next()
            #expect(credit.kind == .credit)
        }
        await guest.send(data: [1, 2, 3], on: stream, flags: .stderr)
        await guest.send(.exited(.success), on: stream, final: true)
        let result = try await running
        #expect(result.stdout == [UInt8](repeating: 7, count: 1000))
        #expect(result.stdoutTruncated)
        #expect(result.stderr == [1, 2, 3])
        #expect(!result.stderrTruncated)
    }

    @Test func `large input waits for credit`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let input = (0..<(3 * Frame.initialWindow + 5)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        async let running = session.run(ProcessStart(arguments: ["wc"]), input: input, outputLimit: 10)
        let (stream, _) = try await guest.request()
        await guest.send(.started(.test(1)), on: stream)
        var got: [UInt8] = []
        while got.count < Frame.initialWindow { got += try await guest.next().payload }
        #expect(got.count == Frame.initialWindow)
        // Whatever else the host would send comes before its answer to a ping.
        await guest.send(Frame(.ping, stream: 0, payload: [1]))
        #expect(try await guest.next().kind == .pong)
        while got.count < input.count {
            await guest.send(credit: 10_000, on: stream)
            let frame = try await guest.next()
            #expect(frame.payload.count <= 10_000)
            got += frame.payload
            if got.count == input.count { #expect(frame.flags.contains(.end)) }
        }
        #expect(got == input)
        await guest.send(.exited(.success), on: stream, final: true)
        _ = try await running
    }

    @Test func `arguments of more than a frame are split`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let start = ProcessStart(arguments: ["echo", String(repeating: "x", count: 300_000)])
        async let code = code { _ = try await session.run(start, input: nil, outputLimit: 0) }
        let (stream, request) = try await guest.request()
        #expect(request == .processStart(start))
        await guest.close(stream, WireStatus(.cannotExecute, "No such file", errno: 2))
        #expect(await code == .cannotExecute)
    }

    @Test func `a request of more than 4 MiB is refused before it is sent`() async throws {
        let (_, session) = try await FakeGuest.session()
        let start = ProcessStart(arguments: [String(repeating: "x", count: 5 << 20)])
        let code = await code { _ = try await session.run(start, input: nil, outputLimit: 0) }
        #expect(code == .invalidRequest)
        #expect(session.openStreams == 0)
    }

    @Test func `a large reply in parts is put together`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let listing = session.processTable()
        let (stream, _) = try await guest.request()
        let entries = (0..<5000).map { index in
            TableEntry(
                pid: UInt32(index), parent: 1, uid: 0, state: 82, residentKiB: 4, cpuMilliseconds: 5,
                command: "process number \(index)")
        }
        let payload = Reply.table(entries).encoded()
        for start in stride(from: 0, to: payload.count, by: 50_000) {
            let end = min(start + 50_000, payload.count)
            await guest.send(
                Frame(
                    .message, stream: stream, flags: end < payload.count ? .more : .final,
                    payload: Array(payload[start..<end])))
        }
        let table = try await listing
        #expect(table == entries)
    }

    @Test func `an attached process delivers output with offsets and takes input`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let attaching = session.attach(ProcessAttach(id: 3, offset: 10))
        let (id, request) = try await guest.request()
        #expect(request == .processAttach(ProcessAttach(id: 3, offset: 10)))
        await guest.send(.attached(.test(3), startOffset: 12), on: id)
        let stream = try await attaching
        #expect(stream.startOffset == 12)
        #expect(session.openStreams == 1)
        await guest.send(data: [1, 2], on: id)
        #expect(try await stream.next() == .output(bytes: [1, 2], stderr: false, offset: 12))
        await guest.send(data: [3], on: id, flags: .stderr)
        #expect(try await stream.next() == .output(bytes: [3], stderr: true, offset: 14))
        try await stream.write([9])
        try await stream.closeInput()
        try await stream.closeInput()
        #expect(try await guest.next() == Frame(.data, stream: id, payload: [9]))
        #expect(try await guest.next() == Frame(.data, stream: id, flags: .end))
        await guest.send(.exited(.success), on: id, final: true)
        #expect(try await stream.next() == .exited(.success))
        #expect(try await stream.next() == nil)
        let code = await code { try await stream.write([1]) }
        #expect(code == .processExited)
        #expect(session.openStreams == 0)
    }

    @Test func `a detach tells the guest and ends the events`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let starting = session.start(ProcessStart(arguments: ["top"]))
        let (id, _) = try await guest.request()
        await guest.send(.started(.test(3)), on: id)
        let stream = try await starting
        await stream.detach()
        #expect(try await guest.next() == Frame(.close, stream: id, payload: WireStatus.ok.encoded()))
        #expect(try await stream.next() == nil)
        // What the guest sent before it knew is no breach.
        await guest.send(data: [1, 2, 3], on: id)
        await guest.send(.exited(.success), on: id, final: true)
        #expect(session.openStreams == 0)
        async let ping: Void = session.ping(deadline: .seconds(20))
        await guest.send(Frame(.pong, stream: 0, payload: try await guest.next().payload))
        try await ping
    }

    @Test func `a stream that nobody holds any more is closed`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let watching = Task {
            _ = try await session.watch(Array("/tmp".utf8), recursive: true)
        }
        let (id, _) = try await guest.request()
        await guest.send(.ok, on: id)
        try await watching.value
        #expect(try await guest.next().kind == .close)
        #expect(session.openStreams == 0)
    }

    @Test func `an observer that was too slow learns it`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let attaching = session.attach(ProcessAttach(id: 3, observer: true))
        let (id, _) = try await guest.request()
        await guest.send(.attached(.test(3), startOffset: 0), on: id)
        await guest.send(data: [1], on: id)
        await guest.close(id, WireStatus(.behind))
        let stream = try await attaching
        #expect(try await stream.next() == .output(bytes: [1], stderr: false, offset: 0))
        let code = await code { _ = try await stream.next() }
        #expect(code == .outputLost)
    }
}

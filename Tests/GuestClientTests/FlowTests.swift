import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct FlowTests {
    @Test func `a slow reader stalls only itself`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let (slow, slowID) = try await start(session, guest, id: 1)
        let (quick, quickID) = try await start(session, guest, id: 2)
        await guest.send(data: [UInt8](repeating: 1, count: Frame.initialWindow), on: slowID)
        // The other stream gets many windows through meanwhile.
        let piece = [UInt8](repeating: 2, count: Frame.initialWindow / 2)
        for _ in 0..<20 {
            await guest.send(data: piece, on: quickID)
            var got = 0
            while got < piece.count {
                guard case .output(let bytes, _, _)? = try await quick.next() else { break }
                #expect(bytes.allSatisfy { $0 == 2 })
                got += bytes.count
            }
            let credit = try await guest.next()
            #expect(credit.kind == .credit && credit.stream == quickID)
        }
        // Once the slow one reads, its guest gets credit as well.
        var got = 0
        while got < Frame.initialWindow {
            guard case .output(let bytes, _, _)? = try await slow.next() else { break }
            got += bytes.count
        }
        let credit = try await guest.next()
        #expect(credit.kind == .credit && credit.stream == slowID)
        let amount = credit.payload.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
        #expect(Int(UInt32(littleEndian: amount)) >= Frame.initialWindow / 2)
        await session.close()
    }

    @Test func `a writer waits for credit and for its own stream only`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let (blocked, blockedID) = try await start(session, guest, id: 1)
        let (free, freeID) = try await start(session, guest, id: 2)
        try await blocked.write([UInt8](repeating: 1, count: Frame.initialWindow))
        let waiting = Task { try await blocked.write([4, 5, 6]) }
        var got = 0
        while got < Frame.initialWindow {
            let frame = try await guest.next()
            #expect(frame.stream == blockedID)
            got += frame.payload.count
        }
        try await free.write([7])
        #expect(try await guest.next() == Frame(.data, stream: freeID, payload: [7]))
        await guest.send(credit: 2, on: blockedID)
        #expect(try await guest.next() == Frame(.data, stream: blockedID, payload: [4, 5]))
        await guest.send(credit: 2, on: blockedID)
        #expect(try await guest.next() == Frame(.data, stream: blockedID, payload: [6]))
        try await waiting.value
        await session.close()
    }

    @Test func `writers take turns`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let (first, firstID) = try await start(session, guest, id: 1)
        let (second, secondID) = try await start(session, guest, id: 2)
        let size = 8 << 20
        for id in [firstID, secondID] { await guest.send(credit: UInt32(size), on: id) }
        // The host has both credits once it answers.
        await guest.send(Frame(.ping, stream: 0))
        #expect(try await guest.next().kind == .pong)
        try await guest.reads(false)
        let bytes = [UInt8](repeating: 1, count: size)
        let firstWriting = Task { try await first.write(bytes) }
        let secondWriting = Task { try await second.write(bytes) }
        try await guest.reads(true)
        var left = [firstID: size, secondID: size]
        var last: UInt32 = 0
        var run = 0
        var longest = 0
        while let most = left.values.max(), most > 0 {
            let frame = try await guest.nextButCredit()
            guard frame.kind == .data else { continue }
            // While both have bytes to send, neither sends long without the other.
            let bothSend = left.values.allSatisfy { $0 > 0 && $0 < size }
            run = frame.stream == last && bothSend ? run + 1 : 1
            last = frame.stream
            longest = max(longest, run)
            left[frame.stream, default: 0] -= frame.payload.count
        }
        #expect(left == [firstID: 0, secondID: 0])
        #expect(longest <= 2)
        try await firstWriting.value
        try await secondWriting.value
        await session.close()
    }

    @Test func `requests and small input pass a large transfer that waits for its turn`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let (large, largeID) = try await start(session, guest, id: 1)
        await guest.send(credit: 64 << 20, on: largeID)
        // The host has the credit once it answers. From then on nothing leaves its socket.
        await guest.send(Frame(.ping, stream: 0))
        #expect(try await guest.next().kind == .pong)
        try await guest.reads(false)
        let writing = Task { try await large.write([UInt8](repeating: 1, count: 64 << 20)) }
        // Gives the transfer the lead that makes the test a strong one; it holds without.
        try await Task.sleep(for: .milliseconds(50))
        async let stat = session.stat(Array("/a".utf8), follow: false)
        try await until { session.openStreams == 2 }
        try await guest.reads(true)
        var before = 0
        var stream: UInt32 = 0
        while stream == 0 {
            let frame = try await guest.next()
            if frame.kind == .open { stream = frame.stream } else { before += frame.payload.count }
        }
        #expect(before < 48 << 20)
        await guest.send(.file(.test("/a")), on: stream, final: true)
        _ = try await stat
        try await writing.value
        await session.close()
    }

    @Test func `a file is read to its end`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let content = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let serving = Task {
            let (id, request) = try await guest.request()
            guard case .fileRead(_, let offset, _) = request else { return }
            await guest.send(.file(.test("/f", size: 1_000_000)), on: id)
            var window = Frame.initialWindow
            var sent = Int(offset)
            while sent < content.count {
                while window == 0 {
                    let frame = try await guest.next()
                    var reader = WireReader(frame.payload)
                    window += Int(try reader.u32())
                }
                let end = min(sent + min(window, Frame.maximumPayload), content.count)
                await guest.send(data: Array(content[sent..<end]), on: id, flags: end == content.count ? .end : [])
                window -= end - sent
                sent = end
            }
            await guest.close(id)
        }
        let stream = try await session.read(Array("/f".utf8), offset: 10, length: -1)
        #expect(stream.info.size == 1_000_000)
        var got: [UInt8] = []
        for try await bytes in stream { got += bytes }
        #expect(got == Array(content[10...]))
        #expect(try await stream.next() == nil)
        try await serving.value
        #expect(session.openStreams == 0)
    }

    @Test func `a read that breaks off is an error and not an end`() async throws {
        let (guest, session) = try await FakeGuest.session()
        for status in [WireStatus(.failed, "Input/output error"), .ok] {
            let serving = Task {
                let (id, _) = try await guest.request()
                await guest.send(.file(.test("/f", size: 10)), on: id)
                await guest.send(data: [1, 2], on: id)
                await guest.close(id, status)
            }
            let stream = try await session.read(Array("/f".utf8), offset: 0, length: -1)
            #expect(try await stream.next() == [1, 2])
            let code = await code { _ = try await stream.next() }
            #expect(code == .guestFailed)
            try await serving.value
        }
    }

    @Test func `a file is written from pieces`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let serving = Task { () -> [UInt8] in
            let (id, _) = try await guest.request()
            var got: [UInt8] = []
            while true {
                let frame = try await guest.next()
                got += frame.payload
                if !frame.payload.isEmpty { await guest.send(credit: UInt32(frame.payload.count), on: id) }
                if frame.flags.contains(.end) { break }
            }
            await guest.send(.file(.test("/f", size: Int64(got.count))), on: id, final: true)
            return got
        }
        let pieces = (0..<200).map { [UInt8](repeating: UInt8($0), count: $0 * 97) }
        let body = AsyncStream { continuation in
            for piece in pieces { continuation.yield(piece) }
            continuation.finish()
        }
        let info = try await session.write(FileWrite(path: Array("/f".utf8)), body: body)
        let got = try await serving.value
        #expect(got == pieces.flatMap(\.self))
        #expect(info.size == Int64(got.count))
        #expect(session.openStreams == 0)
    }

    @Test func `a write that the guest refuses in the middle throws its reason`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let serving = Task {
            let (id, _) = try await guest.request()
            _ = try await guest.next()
            await guest.close(id, WireStatus(.noSpace, "No space left on device", errno: 28))
        }
        let piece = [UInt8](repeating: 0, count: 100_000)
        let body = AsyncStream { continuation in
            for _ in 0..<100 { continuation.yield(piece) }
            continuation.finish()
        }
        let code = await code { _ = try await session.write(FileWrite(path: Array("/f".utf8)), body: body) }
        #expect(code == .noSpace)
        try await serving.value
        #expect(session.openStreams == 0)
    }

    @Test func `records that are cut anywhere are put together`() async throws {
        let (guest, session) = try await FakeGuest.session()
        let records: [WireRecord] = (0..<100).map { .entry(.test("file \($0)", size: Int64($0))) }
        let serving = Task {
            let (id, _) = try await guest.request()
            await guest.send(.ok, on: id)
            let bytes = records.flatMap { $0.encoded() }
            for start in stride(from: 0, to: bytes.count, by: 7) {
                await guest.send(data: Array(bytes[start..<min(start + 7, bytes.count)]), on: id)
            }
            await guest.send(data: [], on: id, flags: .end)
            await guest.close(id)
        }
        let stream = try await session.list(Array("/".utf8), depth: 1)
        var got: [WireRecord] = []
        for try await record in stream { got.append(record) }
        #expect(got == records)
        try await serving.value
        #expect(session.openStreams == 0)
    }

    @Test func `a tunnel carries bytes both ways and each way ends by itself`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let dialing = session.dial(port: 80)
        let (id, request) = try await guest.request()
        #expect(request == .dial(port: 80))
        await guest.send(.ok, on: id)
        let tunnel = try await dialing
        try await tunnel.write([1, 2])
        #expect(try await guest.next() == Frame(.data, stream: id, payload: [1, 2]))
        await guest.send(data: [3], on: id, flags: .end)
        #expect(try await tunnel.next() == [3])
        #expect(try await tunnel.next() == nil)
        #expect(try await tunnel.next() == nil)
        try await tunnel.write([4])
        try await tunnel.closeWrite()
        #expect(try await guest.next() == Frame(.data, stream: id, payload: [4]))
        #expect(try await guest.next() == Frame(.data, stream: id, flags: .end))
        // The host ended last, so it closes.
        #expect(try await guest.next().kind == .close)
        #expect(session.openStreams == 0)
        let code = await code { try await tunnel.write([5]) }
        #expect(code == .unavailable)
    }

    @Test func `a tunnel that the guest ends last is closed by the guest`() async throws {
        let (guest, session) = try await FakeGuest.session()
        async let dialing = session.dial(port: 80)
        let (id, _) = try await guest.request()
        await guest.send(.ok, on: id)
        let tunnel = try await dialing
        try await tunnel.closeWrite()
        #expect(try await guest.next() == Frame(.data, stream: id, flags: .end))
        await guest.send(data: [3], on: id, flags: .end)
        #expect(session.openStreams == 1)
        await guest.close(id)
        #expect(try await tunnel.next() == [3])
        #expect(try await tunnel.next() == nil)
        try await until { session.openStreams == 0 }
    }

    private func start(
        _ session: GuestSession, _ guest: FakeGuest, id: UInt32
    ) async throws -> (ProcessStream, UInt32) {
        async let starting = session.start(ProcessStart(arguments: ["test"]))
        let (stream, _) = try await guest.request()
        await guest.send(.started(.test(id)), on: stream)
        return (try await starting, stream)
    }
}

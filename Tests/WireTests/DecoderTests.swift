import Testing
import Wire

/// Small, fast and the same on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct DecoderTests {
    static let nonce = [UInt8](repeating: 7, count: Resync.nonceSize)
    static let other = [UInt8](repeating: 9, count: Resync.nonceSize)

    static let frames = [
        Frame(.open, stream: 1, payload: Request.processList.encoded()),
        Frame(.data, stream: 1, flags: [.stderr, .end], payload: Array("hello".utf8)),
        Frame(.credit, stream: 3, payload: [1, 0, 0, 0]),
        Frame(.close, stream: .max),
    ]

    static func encode(_ frames: [Frame]) -> [UInt8] {
        var encoder = FrameEncoder()
        var bytes: [UInt8] = []
        for frame in frames { encoder.encode(frame, into: &bytes) }
        return bytes
    }

    static func frames(_ events: [FrameDecoder.Event]) -> [Frame] {
        events.compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
    }

    @Test func `frames arrive whole, in whatever pieces the bytes come`() {
        let bytes = Resync.opening(nonce: DecoderTests.nonce) + DecoderTests.encode(DecoderTests.frames)
        for size in [1, 2, 7, 4096, bytes.count] {
            var decoder = FrameDecoder(role: .guest)
            var events: [FrameDecoder.Event] = []
            var position = 0
            while position < bytes.count {
                let end = min(position + size, bytes.count)
                events += decoder.push(bytes[position..<end])
                position = end
            }
            #expect(events.first == .session(nonce: DecoderTests.nonce))
            #expect(DecoderTests.frames(events) == DecoderTests.frames)
        }
    }

    @Test func `a stream that is cut anywhere delivers whole frames only, and a new session follows`() {
        let body = DecoderTests.encode(DecoderTests.frames)
        let again = Frame(.ping, stream: 0, payload: [42])
        for cut in 0..<body.count {
            var decoder = FrameDecoder(role: .guest)
            _ = decoder.push(Resync.opening(nonce: DecoderTests.nonce))
            let before = DecoderTests.frames(decoder.push(body[0..<cut]))
            #expect(before == Array(DecoderTests.frames.prefix(before.count)), "cut at \(cut)")
            let events = decoder.push(Resync.opening(nonce: DecoderTests.other) + DecoderTests.encode([again]))
            // Zeros may complete a frame of which only zero bytes were missing; nothing else.
            let late = DecoderTests.frames(Array(events.prefix { $0 != .session(nonce: DecoderTests.other) }))
            #expect(before + late == Array(DecoderTests.frames.prefix(before.count + late.count)), "cut at \(cut)")
            #expect(Array(events.dropFirst(late.count)) == [.session(nonce: DecoderTests.other), .frame(again)])
        }
    }

    @Test func `a marker in the payload of an unfinished frame begins no session`() {
        let opening = Resync.opening(nonce: DecoderTests.other)
        let evil = Array(opening.suffix(32)) + DecoderTests.encode([Frame(.open, stream: 1)])
        let bytes = DecoderTests.encode([Frame(.data, stream: 1, payload: evil + [UInt8](repeating: 1, count: 500))])
        var decoder = FrameDecoder(role: .guest)
        _ = decoder.push(Resync.opening(nonce: DecoderTests.nonce))
        #expect(decoder.push(bytes.dropLast(100)).isEmpty)
        #expect(decoder.push(Resync.opening(nonce: DecoderTests.nonce)) == [.session(nonce: DecoderTests.nonce)])
    }

    @Test func `every kind of broken frame ends the host's connection and nothing follows`() {
        let good = DecoderTests.encode([DecoderTests.frames[1]])
        let answer = Resync.answer(nonce: DecoderTests.nonce)
        // Magic, kind, length, sequence, trailer.
        for (position, value) in [(0, UInt8(0)), (2, 0), (2, 99), (10, 0xFF), (12, 1), (good.count - 1, 0)] {
            var bytes = good
            bytes[position] = value
            var decoder = FrameDecoder(role: .host(nonce: DecoderTests.nonce))
            let events = decoder.push(answer + bytes)
            #expect(events.count == 2)
            guard case .broken = events.last else {
                Issue.record("byte \(position) was accepted")
                continue
            }
            #expect(decoder.push(answer + good).isEmpty)
        }
    }

    @Test func `the host skips everything up to the answer to its own opening`() {
        var decoder = FrameDecoder(role: .host(nonce: DecoderTests.nonce))
        let stale = DecoderTests.encode(DecoderTests.frames) + Resync.answer(nonce: DecoderTests.other)
        #expect(decoder.push(stale).isEmpty)
        let events = decoder.push(Resync.answer(nonce: DecoderTests.nonce) + DecoderTests.encode(DecoderTests.frames))
        #expect(events.first == .session(nonce: DecoderTests.nonce))
        #expect(DecoderTests.frames(events) == DecoderTests.frames)
    }

    @Test func `a repeated or left out frame is not accepted`() {
        let bytes = DecoderTests.encode([DecoderTests.frames[0], DecoderTests.frames[1]])
        let first = DecoderTests.encode([DecoderTests.frames[0]])
        var decoder = FrameDecoder(role: .host(nonce: DecoderTests.nonce))
        let events = decoder.push(Resync.answer(nonce: DecoderTests.nonce) + first + first + bytes)
        #expect(DecoderTests.frames(events) == [DecoderTests.frames[0]])
    }

    @Test func `random bytes never trap and never look like a frame`() {
        var random = SeededGenerator(seed: 1)
        var guest = FrameDecoder(role: .guest)
        var host = FrameDecoder(role: .host(nonce: DecoderTests.nonce))
        for _ in 0..<300 {
            let bytes = (0..<1024).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            #expect(guest.push(bytes).isEmpty)
            #expect(host.push(bytes).isEmpty)
        }
        let events = guest.push(Resync.opening(nonce: DecoderTests.nonce))
        #expect(events == [.session(nonce: DecoderTests.nonce)])
    }

    @Test func `a stream with random damage delivers only what was sent`() {
        var random = SeededGenerator(seed: 2)
        let clean = DecoderTests.encode(DecoderTests.frames)
        for _ in 0..<3000 {
            var bytes = clean
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            var decoder = FrameDecoder(role: .host(nonce: DecoderTests.nonce))
            let events = decoder.push(Resync.answer(nonce: DecoderTests.nonce) + bytes)
            #expect(events.count <= DecoderTests.frames.count + 2)
            for frame in DecoderTests.frames(events) {
                // Damage within a payload or stream number is the socket's to prevent; the frame keeps its shape.
                #expect(frame.payload.count <= Frame.maximumPayload)
            }
        }
    }

    @Test func `random messages never trap`() {
        var random = SeededGenerator(seed: 3)
        for round in 0..<20_000 {
            let type = UInt8(round % 32)
            let body = (0..<Int.random(in: 0..<64, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random) & (round % 2 == 0 ? 0xFF : 0x07)
            }
            _ = try? Request(decoding: [type, 0] + body)
            _ = try? Reply(decoding: [type, 0] + body)
            _ = try? WireStatus(decoding: body)
            var records = body
            _ = try? WireRecord.take(from: &records)
        }
    }
}

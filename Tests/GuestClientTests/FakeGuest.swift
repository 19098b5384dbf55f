import Glibc
import GuestClient
import Logging
import NIOCore
import NIOPosix
import SandboxModel
import Synchronization
import Testing
import Wire

/// The other end of the channel, played by a test: it sees every frame of the host and sends what the test says.
actor FakeGuest {
    struct HostIsGone: Error {}

    private let channel: any Channel
    private let received: AsyncStream<FrameDecoder.Event>
    private var encoder = FrameEncoder()

    private init(channel: any Channel, received: AsyncStream<FrameDecoder.Event>) {
        self.channel = channel
        self.received = received
    }

    /// A new channel; the descriptor is the host's end.
    static func make() async throws -> (guest: FakeGuest, descriptor: Int32) {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0, &ends) == 0)
        let (stream, continuation) = AsyncStream<FrameDecoder.Event>.makeStream()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .withConnectedSocket(ends[0]) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Receiver(continuation))
                    return channel
                }
            }
        return (FakeGuest(channel: channel, received: stream), ends[1])
    }

    /// A session with a guest that has just greeted, and the guest.
    static func session(requestDeadline: Duration = .seconds(30)) async throws -> (FakeGuest, GuestSession) {
        let (guest, descriptor) = try await make()
        async let greeting: Void = guest.greet()
        let session = try await GuestSession.open(
            descriptor: descriptor, deadline: .seconds(20), logger: quiet, requestDeadline: requestDeadline)
        try await greeting
        return (guest, session)
    }

    /// Waits for the host's opening, and returns its nonce.
    func opening() async throws -> [UInt8] {
        while true {
            guard let event = await nextEvent() else { throw HostIsGone() }
            if case .session(let nonce) = event { return nonce }
        }
    }

    func greet(_ hello: Hello = .test) async throws {
        let nonce = try await opening()
        send(bytes: Resync.answer(nonce: nonce))
        send(.hello(hello), on: 0)
    }

    /// The host's next frame.
    func next() async throws -> Frame {
        while true {
            switch await nextEvent() {
            case .frame(let frame): return frame
            case .session, .broken: continue
            case nil: throw HostIsGone()
            }
        }
    }

    /// The host's next frame that is not a credit.
    func nextButCredit() async throws -> Frame {
        while true {
            let frame = try await next()
            if frame.kind != .credit { return frame }
        }
    }

    /// The host's next request and its stream.
    func request() async throws -> (stream: UInt32, request: Request) {
        var payload: [UInt8] = []
        while true {
            let frame = try await nextButCredit()
            try #require(frame.kind == .open, "a \(frame.kind) frame where a request belongs")
            payload += frame.payload
            if !frame.flags.contains(.more) { return (frame.stream, try Request(decoding: payload)) }
        }
    }

    /// Waits until the host's end is closed.
    func hostIsGone() async { while await nextEvent() != nil {} }

    private func nextEvent() async -> FrameDecoder.Event? {
        for await event in received { return event }
        return nil
    }

    func send(_ frame: Frame) {
        var bytes: [UInt8] = []
        encoder.encode(frame, into: &bytes)
        send(bytes: bytes)
    }

    func send(_ reply: Reply, on stream: UInt32, final: Bool = false) {
        send(Frame(.message, stream: stream, flags: final ? .final : [], payload: reply.encoded()))
    }

    func send(data: [UInt8], on stream: UInt32, flags: FrameFlags = []) {
        var rest = data[...]
        repeat {
            let part = rest.prefix(Frame.maximumPayload)
            rest = rest.dropFirst(part.count)
            let isLast = rest.isEmpty
            send(Frame(.data, stream: stream, flags: isLast ? flags : flags.subtracting(.end), payload: Array(part)))
        } while !rest.isEmpty
    }

    func send(credit: UInt32, on stream: UInt32) {
        var writer = WireWriter()
        writer.u32(credit)
        send(Frame(.credit, stream: stream, payload: writer.bytes))
    }

    func close(_ stream: UInt32, _ status: WireStatus = .ok) {
        send(Frame(.close, stream: stream, payload: status.encoded()))
    }

    func send(bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }

    /// Sends each byte by itself, so that the host reads them in small pieces.
    func send(slowly bytes: [UInt8]) async throws {
        for byte in bytes { try await channel.writeAndFlush(ByteBuffer(bytes: [byte])).get() }
    }

    /// Encodes a frame in its turn without sending it.
    func encoded(_ frame: Frame) -> [UInt8] {
        var bytes: [UInt8] = []
        encoder.encode(frame, into: &bytes)
        return bytes
    }

    /// Stops or resumes reading what the host sends.
    func reads(_ reads: Bool) async throws { try await channel.setOption(.autoRead, value: reads).get() }

    func hangUp() async throws { try await channel.close() }

    private final class Receiver: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<FrameDecoder.Event>.Continuation
        private var decoder = FrameDecoder(role: .guest)

        init(_ continuation: AsyncStream<FrameDecoder.Event>.Continuation) { self.continuation = continuation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            for event in decoder.push(unwrapInboundIn(data).readableBytesView) { continuation.yield(event) }
        }

        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Hello {
    static let test = Hello(oldestGeneration: 1, newestGeneration: 1, version: "test", boot: 7)
}

extension ProcessInfo {
    static func test(_ id: UInt32) -> ProcessInfo {
        ProcessInfo(
            id: id, pid: id + 100, arguments: ["test"], directory: "/", user: "root", tag: "", terminal: false,
            startedUnixNanoseconds: 1, outputEnd: 0, outputStart: 0, attached: 1, exit: nil)
    }
}

extension ProcessExit {
    static let success = ProcessExit(code: 0, signal: 0, timedOut: false, endedUnixNanoseconds: 2)
}

extension FileInfo {
    static func test(_ path: String, size: Int64 = 0) -> FileInfo {
        FileInfo(
            path: Array(path.utf8), kind: .file, size: size, mode: 0o644, uid: 0, gid: 0, modifiedUnixNanoseconds: 3)
    }
}

/// The code of the error that `body` throws; `nil` if it throws none.
func code(of body: () async throws -> Void) async -> SandboxError.Code? {
    do {
        try await body()
        return nil
    } catch let error as SandboxError {
        return error.code
    } catch {
        Issue.record("an error of another type: \(error)")
        return nil
    }
}

/// Polls until the condition holds, at most 20 seconds; not to hold is an issue of the test.
func until(
    _ location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("It did not come to hold within 20 seconds.", sourceLocation: location)
            return
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}

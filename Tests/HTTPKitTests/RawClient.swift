import NIOCore
import NIOPosix
import Synchronization
import Testing

/// A connection that sends and receives plain bytes, so that tests see what is really on the wire.
final class RawClient: @unchecked Sendable {
    enum Address: Sendable {
        case port(Int)
        case unix(String)
    }
    struct Timeout: Error, CustomStringConvertible {
        let got: String
        var description: String { "timed out after receiving: \(got)" }
    }

    let channel: any Channel
    private let received = Mutex<(bytes: [UInt8], closed: Bool)>(([], false))

    private init(channel: any Channel) { self.channel = channel }

    static func connect(_ address: Address) async throws -> RawClient {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
        let channel =
            switch address {
            case .port(let port): try await bootstrap.connect(host: "127.0.0.1", port: port).get()
            case .unix(let path): try await bootstrap.connect(unixDomainSocketPath: path).get()
            }
        let client = RawClient(channel: channel)
        try await channel.pipeline.addHandler(Collector(client: client)).get()
        return client
    }

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let client: RawClient
        init(client: RawClient) { self.client = client }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = Self.unwrapInboundIn(data)
            client.received.withLock { $0.bytes += buffer.readableBytesView }
        }
        func channelInactive(context: ChannelHandlerContext) { client.received.withLock { $0.closed = true } }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? ChannelEvent, event == .inputClosed {
                client.received.withLock { $0.closed = true }
            }
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }
    func close() async { try? await channel.close() }

    var bytes: [UInt8] { received.withLock { $0.bytes } }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var isClosed: Bool { received.withLock { $0.closed } }
    func forget() { received.withLock { $0.bytes = [] } }
    /// Drops the head of an answer; what the server sent right behind it stays.
    func forgetHead() {
        received.withLock { received in
            guard let end = received.bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
            received.bytes.removeSubrange(..<end.upperBound)
        }
    }

    /// Waits until the condition holds, at most twenty seconds.
    @discardableResult
    func wait(_ condition: (RawClient) -> Bool) async throws -> String {
        let end = ContinuousClock.now + .seconds(20)
        while !condition(self) {
            guard ContinuousClock.now < end else { throw Timeout(got: text) }
            try await Task.sleep(for: .milliseconds(2))
        }
        return text
    }

    @discardableResult
    func wait(for part: String) async throws -> String { try await wait { $0.text.contains(part) } }

    /// Sends one request on a new connection and returns all that comes until the server closes.
    static func exchange(_ address: Address, _ request: String) async throws -> String {
        let client = try await connect(address)
        try await client.send(request)
        let text = try await client.wait { $0.isClosed }
        await client.close()
        return text
    }

    /// A masked frame, as clients send it.
    static func frame(opcode: UInt8, _ payload: [UInt8], fin: Bool = true) -> [UInt8] {
        let mask: [UInt8] = [1, 2, 3, 4]
        var bytes: [UInt8] = [(fin ? 0x80 : 0) | opcode]
        if payload.count < 126 {
            bytes.append(0x80 | UInt8(payload.count))
        } else if payload.count < 65536 {
            bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        } else {
            bytes.append(0x80 | 127)
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    static let handshake =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
}

/// Counts producers that were cancelled.
final class Cancellations: Sendable {
    static let shared = Cancellations()
    private let value = Mutex(0)
    func count() { value.withLock { $0 += 1 } }
    var total: Int { value.withLock { $0 } }
}

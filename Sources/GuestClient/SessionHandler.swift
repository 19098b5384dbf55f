internal import NIOCore
internal import SandboxModel
internal import Wire

/// Splits what the channel reads into frames and applies them to the session.
final class SessionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let core: SessionCore
    private var decoder: FrameDecoder
    private var answered = false
    private var skipped = 0

    init(core: SessionCore, nonce: [UInt8]) {
        self.core = core
        decoder = FrameDecoder(role: .host(nonce: nonce))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        let events = buffer.withUnsafeReadableBytes { decoder.push($0) }
        if !answered {
            // The answer is the decoder's first event, whatever else the same read brought.
            answered = !events.isEmpty
            skipped += buffer.readableBytes
            if !answered, skipped > Limits.junk {
                core.end(violation: Violation("it sent more than 64 MiB without an answer"))
            }
        }
        if !events.isEmpty { core.receive(events) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { core.drain() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        core.disconnected()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        core.end(SandboxError(.guestFailed, "The connection to the sandbox broke.", cause: error))
    }
}

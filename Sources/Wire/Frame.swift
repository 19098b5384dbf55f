/// What a frame carries. The raw value is the byte on the wire.
public enum FrameKind: UInt8, Sendable {
    /// Opens a stream; the payload is a ``Request``. Odd stream numbers are the host's, even ones the guest's.
    case open = 1
    /// Bytes of one stream, counted against the stream's window.
    case data = 2
    /// The payload is a `UInt32`: so many further bytes may be sent on this stream.
    case credit = 3
    /// A ``Reply`` on the stream. Never counted against a window; a stream carries a bounded number of them.
    case message = 4
    /// The sender forgets the stream; the payload is a ``WireStatus``. Both directions end.
    case close = 5
    /// Stream 0 only. Answered with `pong` and the same payload (at most 64 bytes).
    case ping = 6
    case pong = 7
}

/// Flags of a ``FrameKind/data`` or ``FrameKind/message`` frame.
public struct FrameFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// On `data`: the bytes are the process's standard error. Without it: standard output, input or file contents.
    public static let stderr = FrameFlags(rawValue: 1 << 0)
    /// On `data`: the sender will send no more bytes on this stream (half-close). The payload may be empty.
    public static let end = FrameFlags(rawValue: 1 << 1)
    /// On `message`: the sender forgets the stream after this message, as if a successful `close` followed.
    public static let final = FrameFlags(rawValue: 1 << 2)
    /// On `open` and `message`: the payload goes on in the next frame of the same stream and kind. The parts are at
    /// most ``Frame/maximumMessage`` together; nothing else comes between them on that stream.
    public static let more = FrameFlags(rawValue: 1 << 3)
}

/// One frame. On the wire, little-endian: magic `u16`, kind `u8`, flags `u8`, stream `u32`, payload length `u32`,
/// sequence `u32`, payload, trailer `u32`.
///
/// The sequence counts the frames of one direction since the session began. The trailer is a function of the
/// sequence, so that a frame which its sender did not finish (because it was killed) is told from a whole one before
/// anything of it is delivered.
public struct Frame: Sendable, Hashable {
    public var kind: FrameKind
    public var flags: FrameFlags
    public var stream: UInt32
    public var payload: [UInt8]

    public init(_ kind: FrameKind, stream: UInt32, flags: FrameFlags = [], payload: [UInt8] = []) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
    }

    /// "NJ".
    public static let magic: UInt16 = 0x4A4E
    public static let headerSize = 16
    public static let trailerSize = 4
    /// Payload of one frame in bytes, at most.
    public static let maximumPayload = 64 * 1024
    /// Payload of one `open` or `message` in bytes, over all its frames, at most.
    public static let maximumMessage = 4 * 1024 * 1024
    /// Bytes that either side may send on a new stream before it has to wait for credit.
    public static let initialWindow = 256 * 1024

    static func trailer(for sequence: UInt32) -> UInt32 { ~(sequence ^ 0x5A17_C3E9) | 1 }

    /// Appends the encoded frame to `output`.
    public func encode(sequence: UInt32, into output: inout [UInt8]) {
        precondition(payload.count <= Frame.maximumPayload, "a frame's payload is at most 64 KiB")
        output.reserveCapacity(output.count + Frame.headerSize + payload.count + Frame.trailerSize)
        var writer = WireWriter(bytes: output)
        output = []
        writer.u16(Frame.magic)
        writer.u8(kind.rawValue)
        writer.u8(flags.rawValue)
        writer.u32(stream)
        writer.u32(UInt32(payload.count))
        writer.u32(sequence)
        writer.raw(payload)
        writer.u32(Frame.trailer(for: sequence))
        output = writer.bytes
    }
}

/// Encodes the frames of one direction of one session and numbers them.
public struct FrameEncoder: Sendable {
    private var sequence: UInt32 = 0
    public init() {}
    public mutating func encode(_ frame: Frame, into output: inout [UInt8]) {
        frame.encode(sequence: sequence, into: &output)
        sequence &+= 1
    }
}

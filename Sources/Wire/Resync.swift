/// How a session begins on a byte stream of which neither side knows what is still in flight.
///
/// The host may have been killed in the middle of a frame, and a restored guest may be in the middle of writing one.
/// So every session (first boot, a restarted host, a restored guest) begins alike:
/// 1. The host writes ``opening(nonce:)``: zeros that are longer than any frame, a marker, a random nonce. Whatever
///    frame the guest was reading is completed by zeros, has a wrong trailer and is dropped; from then on the guest
///    skips bytes until the marker.
/// 2. The guest forgets all streams of the former session and what it had queued, and writes ``answer(nonce:)``.
/// 3. The host skips everything until the answer with its own nonce, then frames follow in both directions, the
///    sequence of each starting at 0. The guest's first is ``Reply/hello(_:)`` on stream 0.
public enum Resync {
    /// Bytes of the nonce.
    public static let nonceSize = 16
    static let hostMarker: [UInt8] = Array("\u{1}NJ-HOST-SESSION".utf8)
    static let guestMarker: [UInt8] = Array("\u{1}NJ-GUEST-ANSWER".utf8)

    /// What the host writes first.
    public static func opening(nonce: [UInt8]) -> [UInt8] {
        precondition(nonce.count == nonceSize)
        return [UInt8](repeating: 0, count: Frame.headerSize + Frame.maximumPayload + Frame.trailerSize) + hostMarker
            + nonce
    }

    /// What the guest answers.
    public static func answer(nonce: [UInt8]) -> [UInt8] {
        precondition(nonce.count == nonceSize)
        return guestMarker + nonce
    }
}

/// Splits a byte stream into frames. Hostile input cannot make it hold more than one frame, or trap.
///
/// The guest's decoder (`role: .guest`) starts a new session whenever the host's marker comes after a broken frame;
/// the host's decoder (`role: .host(nonce:)`) first skips to the guest's answer, and afterwards treats any broken
/// frame as the end of the connection.
public struct FrameDecoder: Sendable {
    public enum Role: Sendable, Hashable {
        case guest
        case host(nonce: [UInt8])
    }

    public enum Event: Sendable, Hashable {
        /// The guest: the host began a session; answer with the nonce. The host: the guest answered.
        case session(nonce: [UInt8])
        case frame(Frame)
        /// Host only: the guest broke the protocol. The connection is of no further use.
        case broken(WireError)
    }

    private enum State: Sendable { case scanning, frames, failed }

    private let role: Role
    private var state = State.scanning
    private var buffer: [UInt8] = []
    private var start = 0
    private var sequence: UInt32 = 0

    public init(role: Role) { self.role = role }

    /// Adds bytes and returns what they completed.
    public mutating func push(_ bytes: some Sequence<UInt8>) -> [Event] {
        if state == .failed { return [] }
        buffer.append(contentsOf: bytes)
        return events()
    }

    /// Adds bytes and returns what they completed.
    public mutating func push(_ bytes: UnsafeRawBufferPointer) -> [Event] {
        if state == .failed { return [] }
        buffer.append(contentsOf: bytes)
        return events()
    }

    private mutating func events() -> [Event] {
        var events: [Event] = []
        while let event = next() { events.append(event) }
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.count <= 4 * Frame.maximumPayload)
            start = 0
        } else if start > Frame.maximumPayload {
            buffer.removeSubrange(0..<start)
            start = 0
        }
        return events
    }

    private mutating func next() -> Event? {
        while true {
            switch state {
            case .failed: return nil
            case .scanning: return scan()
            case .frames:
                switch decode() {
                case .success(let frame): return frame.map(Event.frame)
                case .failure(let error):
                    if case .host = role {
                        state = .failed
                        buffer = []
                        start = 0
                        return .broken(error)
                    }
                    state = .scanning
                }
            }
        }
    }

    private mutating func scan() -> Event? {
        let marker: [UInt8]
        switch role {
        case .guest: marker = Resync.hostMarker
        case .host(let nonce): marker = Resync.guestMarker + nonce
        }
        let needed = role == .guest ? marker.count + Resync.nonceSize : marker.count
        buffer.withUnsafeBufferPointer { bytes in
            // The first byte of the marker is rare in text and absent from the zero padding.
            while start < bytes.count {
                if bytes[start] != marker[0] {
                    start += 1
                    continue
                }
                let have = min(bytes.count - start, marker.count)
                var same = 1
                while same < have, bytes[start + same] == marker[same] { same += 1 }
                if same == have { break }
                start += 1
            }
        }
        guard buffer.count - start >= needed else { return nil }
        let nonce: [UInt8]
        switch role {
        case .guest: nonce = Array(buffer[(start + marker.count)..<(start + needed)])
        case .host(let expected): nonce = expected
        }
        start += needed
        state = .frames
        sequence = 0
        return .session(nonce: nonce)
    }

    private mutating func decode() -> Result<Frame?, WireError> {
        let available = buffer.count - start
        guard available >= Frame.headerSize else {
            // A broken header must not wait for more bytes than it has shown.
            if available >= 2, readU16(at: start) != Frame.magic { return .failure(.badFrame("magic")) }
            return .success(nil)
        }
        guard readU16(at: start) == Frame.magic else { return .failure(.badFrame("magic")) }
        guard let kind = FrameKind(rawValue: buffer[start + 2]) else { return .failure(.badFrame("kind")) }
        let length = Int(readU32(at: start + 8))
        guard length <= Frame.maximumPayload else { return .failure(.badFrame("length")) }
        guard readU32(at: start + 12) == sequence else { return .failure(.badFrame("sequence")) }
        let total = Frame.headerSize + length + Frame.trailerSize
        guard available >= total else { return .success(nil) }
        let bodyStart = start + Frame.headerSize
        guard readU32(at: bodyStart + length) == Frame.trailer(for: sequence) else {
            // Drop all that the header claimed: an opening's zeros reach beyond it, so no marker is lost, and a
            // marker within the payload of an unfinished frame (which the user may have chosen) is not taken for one.
            start += total
            return .failure(.badFrame("trailer"))
        }
        let frame = Frame(
            kind, stream: readU32(at: start + 4), flags: FrameFlags(rawValue: buffer[start + 3]),
            payload: Array(buffer[bodyStart..<(bodyStart + length)]))
        start += total
        sequence &+= 1
        return .success(frame)
    }

    private func readU16(at index: Int) -> UInt16 { UInt16(buffer[index]) | UInt16(buffer[index + 1]) << 8 }
    private func readU32(at index: Int) -> UInt32 {
        UInt32(readU16(at: index)) | UInt32(readU16(at: index + 2)) << 16
    }
}

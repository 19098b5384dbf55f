@testable import Wire

/// The guest's end of the channel: resynchronisation, frames and requests, whatever bytes the host's end of the
/// channel still holds from another time.
///
/// The first byte says in which pieces the rest arrives, because a decoder must find the same in any of them.
func fuzzWireGuest(_ input: UnsafeBufferPointer<UInt8>) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    var whole = FrameDecoder(role: .guest)
    let events = whole.push(bytes)
    checkPieces(bytes, size: Int(first) + 1, role: .guest, expected: events)
    var message: [UInt8] = []
    for event in events {
        guard case .frame(let frame) = event else { continue }
        precondition(frame.payload.count <= Frame.maximumPayload)
        guard frame.kind == .open else { continue }
        message += frame.payload
        if frame.flags.contains(.more) { continue }
        checkRequest(message)
        message = []
    }
    checkRequest(bytes)
    // An opening is 64 KiB of zeros, so not every input gets one.
    if first % 16 == 0 { checkRecoveryOfGuest(after: bytes) }
}

/// A request that can be read is written and read again as the same.
private func checkRequest(_ bytes: [UInt8]) {
    guard let request = try? Request(decoding: bytes) else { return }
    guard let again = try? Request(decoding: request.encoded()) else { preconditionFailure("cannot be read again") }
    precondition(again == request, "is another one when it is read again")
}

/// Whatever came before, an opening begins a session, and the frame after it is read.
private func checkRecoveryOfGuest(after bytes: [UInt8]) {
    let nonce = [UInt8](repeating: 0x5A, count: Resync.nonceSize)
    var decoder = FrameDecoder(role: .guest)
    _ = decoder.push(bytes)
    var sent = Resync.opening(nonce: nonce)
    var encoder = FrameEncoder()
    encoder.encode(Frame(.ping, stream: 0, payload: [7]), into: &sent)
    let events = decoder.push(sent)
    precondition(events.suffix(2) == [.session(nonce: nonce), .frame(Frame(.ping, stream: 0, payload: [7]))])
}

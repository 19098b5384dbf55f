@testable import Wire

/// The host's end of the channel: skipping to the answer, frames, replies, statuses and records of a guest that means
/// harm.
///
/// The first byte says in which pieces the rest arrives, because a decoder must find the same in any of them.
func fuzzWireHost(_ input: UnsafeBufferPointer<UInt8>) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    let nonce = [UInt8](repeating: 0x5A, count: Resync.nonceSize)
    let role = FrameDecoder.Role.host(nonce: nonce)
    // Without the answer in front nothing would ever be read.
    let sent = Resync.answer(nonce: nonce) + bytes
    var whole = FrameDecoder(role: role)
    let events = whole.push(sent)
    precondition(events.first == .session(nonce: nonce))
    precondition(events.dropFirst().dropLast().allSatisfy { if case .frame = $0 { true } else { false } })
    checkPieces(sent, size: Int(first) + 1, role: role, expected: events)
    if case .broken? = events.last { precondition(whole.push(sent).isEmpty, "goes on after a breach") }
    for event in events {
        guard case .frame(let frame) = event else { continue }
        checkMessages(frame.payload)
    }
    checkMessages(bytes)
    checkRecords(bytes)
}

/// What can be read is written and read again as the same, and takes no more room than its bytes allow.
private func checkMessages(_ bytes: [UInt8]) {
    if let reply = try? Reply(decoding: bytes) {
        guard let again = try? Reply(decoding: reply.encoded()) else { preconditionFailure("cannot be read again") }
        precondition(again == reply, "is another one when it is read again")
    }
    if let status = try? WireStatus(decoding: bytes) {
        guard let again = try? WireStatus(decoding: status.encoded()) else { preconditionFailure("cannot be read") }
        precondition(again == status)
    }
}

private func checkRecords(_ bytes: [UInt8]) {
    var rest = bytes
    while let record = try? WireRecord.take(from: &rest) {
        var again = record.encoded()
        precondition((try? WireRecord.take(from: &again)) == record && again.isEmpty)
    }
}

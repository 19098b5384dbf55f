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
        calculate(with: reply)
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

/// What the readers of replies do with their numbers: overflow is a trap.
private func calculate(with reply: Reply) {
    switch reply {
    case .attached(let info, let offset):
        calculate(with: info)
        _ = offset + 1 << 40
    case .started(let info): calculate(with: info)
    case .processes(let infos): infos.forEach(calculate)
    case .exited(let exit): calculate(with: exit)
    case .table(let entries): for entry in entries { _ = entry.residentKiB * 1024 }
    case .file(let info): precondition(info.size >= 0)
    case .metrics(let metrics): _ = (metrics.memoryTotalKiB + metrics.diskTotalKiB) * 1024
    case .hello, .ok, .blockers: break
    }
}

private func calculate(with info: ProcessInfo) {
    _ = info.outputEnd - info.outputStart
    if let exit = info.exit { calculate(with: exit) }
}

private func calculate(with exit: ProcessExit) {
    let aTimeOfDay: Int64 = 4_102_444_800_000_000_000
    _ = aTimeOfDay - exit.endedUnixNanoseconds
    _ = exit.userMicroseconds + exit.systemMicroseconds
    _ = exit.maximumResidentKiB * 1024
}

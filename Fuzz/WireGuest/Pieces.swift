import Wire

/// A decoder finds the same in bytes that arrive in pieces as in the whole.
func checkPieces(_ bytes: [UInt8], size: Int, role: FrameDecoder.Role, expected: [FrameDecoder.Event]) {
    var decoder = FrameDecoder(role: role)
    var found: [FrameDecoder.Event] = []
    var start = 0
    while start < bytes.count {
        let end = min(start + size, bytes.count)
        bytes[start..<end].withUnsafeBytes { found += decoder.push($0) }
        start = end
    }
    precondition(found == expected, "finds something else in pieces")
}

import SandboxModel

@testable import API
@testable import Access
@testable import HTTPKit

/// What clients of the interface send: bodies, messages of WebSockets, queries, paths, cursors, headers, keys.
///
/// The first byte chooses the decoder. Whatever it takes must hold its own bounds, and most is written and read again
/// as the same.
func fuzzAPIDecoders(_ input: UnsafeBufferPointer<UInt8>) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch first % 8 {
    case 0: checkDocument(bytes)
    case 1: checkBodies(bytes)
    case 2: checkQuery(bytes)
    case 3: checkPath(bytes)
    case 4: checkCursors(bytes)
    case 5: checkHeaders(bytes)
    case 6: checkKey(bytes)
    default: checkTexts(bytes)
    }
}

/// A document that is read, written and read again is the same.
private func checkDocument(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    let text = written(value)
    guard let again = try? JSONParser.parse(Array(text.utf8)) else {
        preconditionFailure("cannot be read again: \(text)")
    }
    precondition(written(again) == text, "is another one when it is read again")
}

private func written(_ value: JSONValue) -> String {
    switch value {
    case .null: return "null"
    case .bool(let flag): return flag ? "true" : "false"
    case .number(let text): return text
    case .string(let text): return quoted(text)
    case .array(let items): return "[" + items.map(written).joined(separator: ",") + "]"
    case .object(let object):
        let members = object.keys.map { key -> String in
            guard let member = object[key] else { preconditionFailure("a key without a value") }
            return quoted(key) + ":" + written(member)
        }
        return "{" + members.joined(separator: ",") + "}"
    }
}

private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": result += "\\\(scalar)"
        case "\u{0}"..<"\u{20}":
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// Every body and text message that the interface takes, with the checks behind the decoding.
private func checkBodies(_ bytes: [UInt8]) {
    if let body = try? StrictJSON.decode(CreateBody.self, from: bytes) { _ = try? body.spec.validated() }
    if let request = try? StrictJSON.decode(ExecRequest.self, from: bytes) {
        _ = try? ValidExec(request, for: .exec)
        _ = try? ValidExec(request, for: .process)
    }
    if let change = try? StrictJSON.decode(SandboxChange.self, from: bytes), let lifecycle = change.lifecycle {
        var spec = SandboxSpec(labels: change.labels ?? [:])
        spec.lifecycle = lifecycle.applied(to: spec.lifecycle)
        _ = try? spec.validated()
    }
    if let request = try? StrictJSON.decode(KeyRequest.self, from: bytes), (try? request.validate()) != nil {
        precondition(!request.scopes.isEmpty)
        // It becomes a time, which must not overflow.
        _ = request.expiresIn.map { Timestamp(unixNanoseconds: 4_000_000_000_000_000_000).adding(seconds: $0) }
    }
    if let signal = try? StrictJSON.decode(SignalNumber.self, from: bytes) {
        precondition((1...64).contains(signal.number))
    }
    if let command = try? StrictJSON.decode(AttachCommand.self, from: bytes) {
        _ = try? TerminalSize.check(columns: command.columns ?? 0, rows: command.rows ?? 0)
    }
    if let size = try? StrictJSON.decode(ExecRequest.Terminal.self, from: bytes) {
        _ = try? TerminalSize.check(columns: size.columns, rows: size.rows)
    }
}

private func checkQuery(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let query = try? Query(text: text, known: ["a", "path", "limit"], repeatable: ["a"]) else { return }
    _ = try? query.texts("a")
    _ = try? query.flag("a")
    if let number = try? query.integer("limit", in: 1...200) { precondition((1...200).contains(number)) }
    if let number = try? query.number("limit", in: 0...3600) { precondition((0...3600).contains(number)) }
    if let path = try? GuestPath.of(query) { check(path: path) }
}

private func checkPath(_ bytes: [UInt8]) {
    if let path = try? GuestPath.check(bytes) { check(path: path) }
    // Whatever is encoded is decoded as the same.
    var encoded = ""
    for byte in bytes { encoded += "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }
    guard let decoded = try? PercentCoding.decode(encoded, plusIsSpace: true) else {
        preconditionFailure("not decoded")
    }
    precondition(decoded == bytes)
    let text = String(decoding: bytes, as: UTF8.self)
    if let raw = try? PercentCoding.decode(text, plusIsSpace: false) { precondition(raw.count <= text.utf8.count) }
}

private func check(path: [UInt8]) {
    precondition(path.first == UInt8(ascii: "/") && path.count <= GuestPath.maximum && !path.contains(0))
    for component in path.split(separator: UInt8(ascii: "/")) {
        precondition(!component.elementsEqual("..".utf8))
    }
}

private func checkCursors(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let sequence = try? AuditCursor.parse(text) { precondition(sequence > 0 && AuditCursor.text(sequence) == text) }
    if let id = SandboxID(text) { precondition(id.rawValue == text && text.utf8.count == 23) }
    if let time = Timestamp(text), let again = Timestamp("\(time)") {
        // Written with microseconds.
        precondition(abs(again.seconds(since: time)) < 0.000_001)
    }
}

private func checkHeaders(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let token = BearerToken.parse(text) { precondition((1...KeyText.longest).contains(token.count)) }
    for size: Int64 in [0, 1, 100, .max] {
        guard let part = ByteRange.parse(text)?.resolved(size: size) else { continue }
        precondition(part.lowerBound >= 0 && part.lowerBound < part.upperBound && part.upperBound <= size)
    }
    if let mode = try? FileMode.parse(text) { precondition(mode <= 0o7777) }
    _ = try? UserName.check(text)
    _ = try? SandboxSpec.check(name: text, what: "name")
}

private func checkKey(_ bytes: [UInt8]) {
    guard let id = KeyText.id(in: bytes) else { return }
    precondition(id.utf8.count == KeyText.idLength && bytes.starts(with: "nj_\(id)_".utf8))
    precondition(KeyText.areEqual(KeyText.digest(bytes), KeyText.digest(bytes)))
}

/// What goes from a client's text into headers and logs.
private func checkTexts(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let ascii = APIService.asciiJSON(text)
    precondition(ascii.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    let (shown, exact) = textAndBytes(bytes)
    if let exact { precondition(Base64.decode(exact) == bytes) } else { precondition(Array(shown.utf8) == bytes) }
    _ = Base64.decode(text)
}

internal import Wire

/// Paths are bytes without NUL; the host's are absolute.
enum Path {
    static let slash = UInt8(ascii: "/")
    /// Linux's limit with the closing NUL.
    static let maximumLength = 4096

    /// The path as it is used from here: absolute, without trailing slashes.
    static func checked(_ path: [UInt8]) throws(WireStatus) -> [UInt8] {
        guard let first = path.first else { throw WireStatus(.invalid, "The path is empty") }
        guard first == slash else { throw WireStatus(.invalid, "The path \(display(path)) is not absolute") }
        guard !path.contains(0) else { throw WireStatus(.invalid, "The path contains a NUL byte") }
        guard path.count < maximumLength else {
            throw WireStatus(.invalid, "The path is longer than \(maximumLength - 1) bytes")
        }
        var end = path.count
        while end > 1, path[end - 1] == slash { end -= 1 }
        return Array(path[0..<end])
    }

    static func parent(_ path: [UInt8]) -> [UInt8] {
        guard let last = path.lastIndex(of: slash), last > 0 else { return [slash] }
        return Array(path[0..<last])
    }

    static func name(_ path: [UInt8]) -> [UInt8] {
        guard let last = path.lastIndex(of: slash) else { return path }
        return Array(path[(last + 1)...])
    }

    static func join(_ directory: [UInt8], _ name: [UInt8]) -> [UInt8] {
        if directory.isEmpty { return name }
        return directory.last == slash ? directory + name : directory + [slash] + name
    }

    /// For messages: repaired UTF-8 without control characters, bounded.
    static func display(_ path: [UInt8]) -> String {
        String(decoding: path.prefix(512).map { $0 < 32 ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    static func display(_ text: String) -> String { display(Array(text.utf8)) }
}

extension [UInt8] {
    /// Lends the bytes as a C string.
    func withCPath<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
            for index in indices { buffer[index] = CChar(bitPattern: self[index]) }
            buffer[count] = 0
            guard let base = buffer.baseAddress else { return "".withCString(body) }
            return body(base)
        }
    }
}

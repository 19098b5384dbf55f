internal import HTTPKit
internal import SandboxModel

/// Paths inside a sandbox: raw bytes, absolute, without `..`.
///
/// The guest's kernel resolves them inside the sandbox in any case; `..` is refused since no honest request needs it.
enum GuestPath {
    static let maximum = 4095

    static func check(_ bytes: [UInt8], what: String = "path") throws(SandboxError) -> [UInt8] {
        guard bytes.first == UInt8(ascii: "/") else {
            throw SandboxError(.invalidPath, "The \(what) must be absolute.", hint: "begin it with '/'")
        }
        guard bytes.count <= maximum else {
            throw SandboxError(.invalidPath, "The \(what) has more than \(maximum) bytes.")
        }
        guard !bytes.contains(0) else { throw SandboxError(.invalidPath, "The \(what) contains NUL.") }
        for component in bytes.split(separator: UInt8(ascii: "/")) {
            guard !component.elementsEqual("..".utf8) else {
                throw SandboxError(.invalidPath, "The \(what) contains '..'.", hint: "send the path without it")
            }
        }
        return bytes
    }

    static func check(_ text: String, what: String = "path") throws(SandboxError) -> [UInt8] {
        try check(Array(text.utf8), what: what)
    }

    /// The query's `path`.
    static func of(_ query: Query) throws(SandboxError) -> [UInt8] {
        guard let bytes = query.bytes("path") else {
            throw SandboxError(.invalidRequest, "The query parameter 'path' is missing.")
        }
        return try check(bytes)
    }
}

/// Octal permission bits, such as `0644`.
enum FileMode {
    static func parse(_ text: String) throws(SandboxError) -> UInt32 {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x37).contains($0) }),
            let mode = UInt32(text, radix: 8), mode <= 0o7777
        else {
            throw SandboxError(.invalidRequest, "The mode must be octal, from 0 to 7777.", hint: "for example 0644")
        }
        return mode
    }

    static func text(_ mode: UInt32) -> String {
        let digits = String(mode & 0o7777, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// Names of users and owners, as far as they can be checked without the sandbox.
enum UserName {
    static func check(_ text: String, what: String = "user") throws(SandboxError) -> String {
        guard (1...128).contains(text.unicodeScalars.count),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != 0x2F })
        else {
            throw SandboxError(
                .invalidRequest, "The \(what) is not valid.", hint: "a name, a uid, name:group or uid:gid")
        }
        return text
    }
}

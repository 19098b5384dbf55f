internal import NIOHTTP1

/// A head that the parser took, and that another one before or behind this server might read differently.
struct AmbiguousRequest: Error {
    /// What is wrong, as part of a sentence.
    let problem: String
}

/// Refuses what RFC 9112 forbids or lets a server refuse, and the parser lets pass. A request that two programs on its
/// way can understand in two ways is how a request is smuggled past one of them.
enum RequestCheck {
    /// What is wrong with the head; `nil` if nothing is.
    static func problem(_ head: HTTPRequestHead) -> String? {
        guard head.version == .http1_1 || head.version == .http1_0 else { return "its version is not 1.0 or 1.1" }
        let hosts = head.headers["Host"]
        if head.version == .http1_1, hosts.count != 1 { return "it must have one Host" }
        guard hosts.count <= 1, hosts.allSatisfy(isHost) else { return "its Host is not valid" }
        // This server is no proxy: neither an absolute address nor one without a path has a meaning here.
        guard head.uri.hasPrefix("/") else { return "its target must begin with '/'" }
        guard !head.uri.utf8.contains(UInt8(ascii: "#")) else { return "its target has a fragment" }
        let codings = head.headers["Transfer-Encoding"]
        let lengths = head.headers["Content-Length"]
        if !codings.isEmpty {
            guard head.version == .http1_1 else { return "HTTP/1.0 has no Transfer-Encoding" }
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                return "its Transfer-Encoding must be chunked and nothing else"
            }
            guard lengths.isEmpty else { return "it has both Content-Length and Transfer-Encoding" }
        }
        guard lengths.count <= 1, lengths.allSatisfy(isLength) else { return "its Content-Length is not valid" }
        guard head.headers["Authorization"].count <= 1 else { return "it has two Authorization headers" }
        return nil
    }

    /// A name or address with or without a port; empty is allowed, as curl sends it for Unix sockets.
    private static func isHost(_ text: String) -> Bool {
        text.utf8.count <= 255
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "%"), UInt8(ascii: "~"):
                    true
                default: false
                }
            }
    }

    private static func isLength(_ text: String) -> Bool {
        (1...18).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}

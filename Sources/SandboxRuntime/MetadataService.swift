internal import Foundation
internal import GuestClient
internal import SandboxModel

/// What a sandbox may know of itself, over HTTP on a loopback port inside: `GET /v1/metadata`.
///
/// A few lines of HTTP/1.1 instead of a server: one request per connection, its head at most 8 KiB, no body.
struct MetadataService: Sendable {
    static let name = "metadata"

    let sandbox: Sandbox
    let clock: any RuntimeClock

    private struct Metadata: Encodable {
        var id: SandboxID
        var name: String?
        var labels: [String: String]
        var template: String
        var template_version: String
        var isolation: String
        var created_at: Timestamp
    }

    /// Answers one request. A guest that is slow or breaks HTTP loses its connection.
    func serve(_ tunnel: ByteTunnel) async {
        try? await deadline(.seconds(10)) {
            var head: [UInt8] = []
            while !Self.isComplete(head) {
                guard head.count <= 8192, let bytes = try await tunnel.next() else { return }
                head += bytes
            }
            try await tunnel.write(answer(to: head))
            try await tunnel.closeWrite()
            // Closing at once would drop what the guest has not read yet.
            while try await tunnel.next() != nil {}
        }
    }

    private static func isComplete(_ head: [UInt8]) -> Bool {
        let text = String(decoding: head.suffix(8192), as: UTF8.self)
        return text.contains("\r\n\r\n") || text.contains("\n\n")
    }

    /// The whole answer to a request with this head.
    func answer(to head: [UInt8]) -> [UInt8] {
        let line = String(decoding: head.prefix { $0 != 0x0A }, as: UTF8.self)
        let parts = line.split(whereSeparator: \.isWhitespace)
        guard parts.count == 3, parts[2].hasPrefix("HTTP/1.") else { return Self.response("400 Bad Request", "{}") }
        let path = parts[1].prefix { $0 != "?" }
        guard path == "/v1/metadata" else { return Self.response("404 Not Found", "{}") }
        guard parts[0] == "GET" || parts[0] == "HEAD" else { return Self.response("405 Method Not Allowed", "{}") }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let body = try? encoder.encode(metadata) else { return Self.response("500 Internal Server Error", "{}") }
        return Self.response("200 OK", String(decoding: body, as: UTF8.self), withBody: parts[0] == "GET")
    }

    private var metadata: Metadata {
        let resource = sandbox.resource(clock: clock)
        return Metadata(
            id: resource.id, name: resource.name, labels: resource.labels, template: resource.template,
            template_version: resource.templateVersion, isolation: resource.isolation, created_at: resource.createdAt)
    }

    private static func response(_ status: String, _ body: String, withBody: Bool = true) -> [UInt8] {
        let head = "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
        return Array((head + "Connection: close\r\n\r\n" + (withBody ? body : "")).utf8)
    }
}

internal import HTTPTypes
public import Hummingbird
internal import HummingbirdCore
internal import NIOCore
public import SandboxModel

extension APIContext {
    /// Bytes of a JSON body that are accepted.
    public static let maximumJSONBody = 1 << 20
    /// How long such a body may take to arrive.
    static let longestJSONBody = Duration.seconds(60)

    /// Reads and decodes a JSON body.
    ///
    /// - Throws: ``SandboxError`` with `unsupported_media_type`, `body_too_large`, or what ``StrictJSON`` throws.
    public func json<T: Decodable>(_ type: T.Type, from request: Request) async throws -> T {
        try Self.requireJSON(request)
        return try StrictJSON.decode(type, from: try await bytes(of: request, limit: Self.maximumJSONBody))
    }

    private static func requireJSON(_ request: Request) throws(SandboxError) {
        guard let type = request.headers[.contentType] else { return }
        let media = type.split(separator: ";").first.map { $0.trimmingSpaces.lowercased() } ?? ""
        // The second is what curl says of any body that it is not told about; no browser can add the key, so that a
        // form cannot abuse it.
        guard media == "application/json" || media == "application/x-www-form-urlencoded" else {
            throw SandboxError(
                .unsupportedMediaType, "The body must be JSON.", hint: "send 'Content-Type: application/json'")
        }
    }

    /// Reads a body into memory.
    public func bytes(of request: Request, limit: Int) async throws -> [UInt8] {
        let tooLarge = SandboxError(.bodyTooLarge, "The body has more than \(limit) bytes.")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
        try await acceptBody(of: request)
        var bytes: [UInt8] = []
        let deadline = ContinuousClock.now + Self.longestJSONBody
        for try await piece in request.body {
            guard bytes.count + piece.readableBytes <= limit else { throw tooLarge }
            // Pieces come often enough to look here: a body that comes too slowly is given up by the connection.
            guard ContinuousClock.now < deadline else { throw SlowRequest() }
            bytes += piece.readableBytesView
        }
        return bytes
    }
}

/// The body of an upload, as it arrives; it fails when it is longer than its limit.
public struct UploadBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    let body: RequestBody
    let limit: Int64

    public init(_ request: Request, limit: Int64) throws(SandboxError) {
        body = request.body
        self.limit = limit
        if let length = request.headers[.contentLength].flatMap({ Int64($0) }), length > limit {
            throw Self.tooLarge(limit)
        }
    }

    private static func tooLarge(_ limit: Int64) -> SandboxError {
        SandboxError(.bodyTooLarge, "The body has more than \(limit) bytes.")
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var pieces: RequestBody.AsyncIterator
        let limit: Int64
        var total: Int64 = 0

        public mutating func next() async throws -> [UInt8]? {
            guard let piece = try await pieces.next() else { return nil }
            total += Int64(piece.readableBytes)
            guard total <= limit else { throw UploadBody.tooLarge(limit) }
            return Array(piece.readableBytesView)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: body.makeAsyncIterator(), limit: limit) }
}

extension Substring {
    var trimmingSpaces: Substring {
        var text = self
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}

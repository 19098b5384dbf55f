internal import GuestClient
internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

extension APIService {
    /// Contents of files, streamed both ways.
    func addFileContentRoutes(to router: Router<APIContext>) {
        let path: RouterPath = "/v1/sandboxes/{sandbox}/files"
        router.get(path, use: download)
        router.head(path) { request, context in
            let query = try Query(request, known: ["path"])
            let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
            let info = try await look(sandbox, .request("stat"), context) { guest in
                try await guest.session.stat(path, follow: true)
            }
            guard info.kind != .directory else { throw SandboxError(.isADirectory, "This is a directory.") }
            var headers = try Self.headers(of: info)
            headers[.contentLength] = "\(info.size)"
            return Response(status: .ok, headers: headers)
        }
        router.put(path, use: upload)
    }

    private static func headers(of info: FileInfo) throws -> HTTPFields {
        [
            .contentType: "application/octet-stream", .acceptRanges: "bytes",
            .nightjarFile: asciiJSON(try JSONOutput.string(FileResource(info))),
        ]
    }

    /// Header values are ASCII: other characters of a path become `\u` escapes.
    static func asciiJSON(_ json: String) -> String {
        var text = ""
        for unit in json.utf16 {
            if (0x20...0x7E).contains(unit), let scalar = Unicode.Scalar(unit) {
                text.unicodeScalars.append(scalar)
            } else {
                let digits = String(unit, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return text
    }

    @Sendable private func download(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["path"])
        let (sandbox, path) = (try context.sandbox(), try GuestPath.of(query))
        let wanted = ByteRange.parse(request.headers[.range])
        return try await context.connection.whileOpen(endsAtShutdown: false) {
            try await look(sandbox, .request("read"), context) { guest in
                guard let wanted else { return try await Self.sendWhole(path, guest.session, context) }
                let size = try await guest.session.stat(path, follow: true).size
                guard let part = wanted.resolved(size: size) else {
                    throw SandboxError(
                        .rangeNotSatisfiable, "The file has \(size) bytes; the range is outside.",
                        hint: "ask for bytes below \(size)")
                }
                return try await Self.sendPart(part, of: path, guest.session, context)
            }
        }
    }

    private static func sendWhole(
        _ path: [UInt8], _ session: GuestSession, _ context: APIContext
    ) async throws -> Response {
        let content = try await session.read(path, offset: 0, length: -1)
        var headers = try headers(of: content.info)
        // Files of /proc say 0 bytes and have more; such ones are sent without a length.
        let length = content.info.kind == .file && content.info.size > 0 ? content.info.size : nil
        if let length { headers[.contentLength] = "\(length)" }
        return try await send(content, .ok, headers, length: length, context)
    }

    private static func sendPart(
        _ part: Range<Int64>, of path: [UInt8], _ session: GuestSession, _ context: APIContext
    ) async throws -> Response {
        let length = part.upperBound - part.lowerBound
        let content = try await session.read(path, offset: part.lowerBound, length: length)
        var headers = try headers(of: content.info)
        headers[.contentLength] = "\(length)"
        headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(content.info.size)"
        return try await send(content, .partialContent, headers, length: length, context)
    }

    /// Sends at most `length` bytes. A file that became shorter meanwhile breaks the connection: the length is promised.
    private static func send(
        _ content: FileReadStream, _ status: HTTPResponse.Status, _ headers: HTTPFields, length: Int64?,
        _ context: APIContext
    ) async throws -> Response {
        var left = length ?? Int64.max
        // The first piece decides between answer and error.
        var piece = try await content.next()
        let stream = try await context.beginStream(status, headers: headers)
        while let bytes = piece, left > 0 {
            try await stream.write(left < bytes.count ? Array(bytes[..<Int(left)]) : bytes)
            left -= Int64(bytes.count)
            piece = left > 0 ? try await content.next() : nil
        }
        if length != nil, left > 0 { throw SandboxError(.guestFailed, "The file became shorter while it was read.") }
        try await stream.finish()
        return stream.response
    }

    @Sendable private func upload(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["path", "mode", "user", "create_parents", "offset"])
        let sandbox = try context.sandbox()
        var write = FileWrite(path: try GuestPath.of(query))
        if let mode = try query.text("mode") { write.mode = try FileMode.parse(mode) }
        let user = try query.text("user").map { try UserName.check($0) }
        write.createParents = try query.flag("create_parents") ?? true
        if let offset = try query.integer("offset", in: 0...configuration.maximumOffset) { write.offset = offset }
        let body = try UploadBody(request, limit: configuration.maximumUpload)
        let plan = write
        let info = try await runtime.withGuest(sandbox, .request("write")) { guest in
            var write = plan
            write.user = user ?? guest.defaults.user
            try await context.acceptBody(of: request)
            return try await guest.session.write(write, body: body)
        }
        return try Response.json(FileResource(info))
    }
}

/// A `Range` header with one range of bytes. Others are ignored, as RFC 9110 allows: the whole file is sent.
enum ByteRange: Equatable {
    case from(Int64)
    case closed(Int64, Int64)
    case last(Int64)

    static func parse(_ header: String?) -> ByteRange? {
        guard let header, header.lowercased().hasPrefix("bytes=") else { return nil }
        let pair = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard pair.count == 2, pair.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
            return nil
        }
        switch (Int64(pair[0]), Int64(pair[1])) {
        case (let first?, let last?): return first <= last ? .closed(first, last) : nil
        case (let first?, nil): return pair[1].isEmpty ? .from(first) : nil
        case (nil, let count?): return pair[0].isEmpty ? .last(count) : nil
        case (nil, nil): return nil
        }
    }

    /// The part of a file of this size; `nil` if there is none.
    func resolved(size: Int64) -> Range<Int64>? {
        switch self {
        case .from(let first): first < size ? first..<size : nil
        case .closed(let first, let last): first < size ? first..<(last < size ? last + 1 : size) : nil
        case .last(let count): count > 0 && size > 0 ? max(0, size - count)..<size : nil
        }
    }
}

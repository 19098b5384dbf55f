public import Access
internal import HTTPTypes
public import Hummingbird
public import Logging
internal import NIOCore
internal import NIOHTTPTypes
internal import SandboxModel
internal import Synchronization

/// What a route's handler gets beside the request.
public struct APIContext: RequestContext {
    public struct Source: RequestContextSource {
        public let logger: Logger
        let requestID: String
        let connection: Connection
        let access: AccessControl
        let audit: AuditLog
        let principal: Principal
        let refusal: SandboxError?
        let output: ResponseOutput?
        let upgrade: UpgradeOffer?
    }

    public var coreContext: CoreRequestContextStorage
    /// Echoed in `X-Request-ID`, in error bodies and in the log.
    public let requestID: String
    public let connection: Connection
    /// On whose behalf the request is answered.
    public let principal: Principal
    /// Why the principal is nobody.
    let refusal: SandboxError?
    let access: AccessControl
    let audit: AuditLog
    /// What the handler made.
    let made = Made()
    let output: ResponseOutput?
    let upgrade: UpgradeOffer?

    public init(source: Source) {
        coreContext = .init(source: source)
        requestID = source.requestID
        connection = source.connection
        (access, principal, refusal) = (source.access, source.principal, source.refusal)
        audit = source.audit
        output = source.output
        upgrade = source.upgrade
    }
}

extension APIContext {
    /// Begins a streamed answer from inside the handler, so that what it streams may live in the handler's scope.
    ///
    /// The handler then writes the body, calls ``ResponseStream/finish()`` and returns ``ResponseStream/response``. If it
    /// throws after this, the connection is closed, since the peer could not tell a short answer from a whole one.
    public func beginStream(_ status: HTTPResponse.Status, headers: HTTPFields) async throws -> ResponseStream {
        guard let output else { throw SandboxError(.internalError, "A streamed answer is not possible here.") }
        var headers = headers
        headers[.requestID] = requestID
        return try await output.begin(HTTPResponse(status: status, headerFields: headers))
    }

    /// Tells a client that waits for it (`Expect: 100-continue`) to send the body.
    public func acceptBody(of request: Request) async throws {
        guard let output, request.headers[.expect]?.lowercased() == "100-continue" else { return }
        try await output.sayContinue()
    }
}

/// The name of what a request made, for the audit log: it is not in the request.
final class Made: Sendable {
    private let state = Mutex<String?>(nil)
    var name: String? { state.withLock { $0 } }
    func note(_ name: String) { state.withLock { $0 = name } }
}

extension APIContext {
    /// Tells the audit log what this request made, for example a sandbox's identifier.
    public func note(made name: String) { made.note(name) }
}

/// The connection's writing side while one request is answered.
final class ResponseOutput: Sendable {
    private let outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    private let begun = Mutex<HTTPResponse?>(nil)
    private let ended = Mutex(false)

    init(outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>) { self.outbound = outbound }

    /// The head that has gone out, if one has.
    var head: HTTPResponse? { begun.withLock { $0 } }
    var isComplete: Bool { ended.withLock { $0 } }

    func begin(_ head: HTTPResponse) async throws -> ResponseStream {
        let isFirst = begun.withLock { begun in
            guard begun == nil else { return false }
            begun = head
            return true
        }
        guard isFirst else { throw SandboxError(.internalError, "The answer has begun already.") }
        var dated = head
        dated.headerFields[.date] = HTTPDate.now
        try await outbound.write(.head(dated))
        return ResponseStream(output: self)
    }

    func write(_ buffer: ByteBuffer) async throws { try await outbound.write(.body(buffer)) }

    func finish() async throws {
        try await outbound.write(.end(nil))
        ended.withLock { $0 = true }
    }

    func sayContinue() async throws {
        guard head == nil else { return }
        try await outbound.write(.head(HTTPResponse(status: .continue)))
    }
}

/// The body of an answer under way. Several tasks may write; each piece goes out whole, and `write` waits for a slow peer.
public struct ResponseStream: Sendable {
    let output: ResponseOutput

    public func write(_ bytes: [UInt8]) async throws { try await output.write(ByteBuffer(bytes: bytes)) }
    public func write(_ buffer: ByteBuffer) async throws { try await output.write(buffer) }
    public func finish() async throws { try await output.finish() }

    /// What the handler returns after ``finish()``.
    public var response: Response {
        Response(status: output.head?.status ?? .ok, headers: output.head?.headerFields ?? [:])
    }
}

extension HTTPField.Name {
    static let requestID = header("X-Request-ID")
    /// Makes a name of a constant that is known to be a valid token.
    public static func header(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is not a header name") }
        return field
    }
}

internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import SandboxModel

/// A client of a Nightjar server's `/v1` interface.
///
/// Connections are kept alive and shared by all callers. Every method throws ``SandboxError``: the server's own errors
/// as they are (``SandboxModel/SandboxError/answer`` has the request id), `unavailable` when there is no server or the
/// connection was lost, `deadline_exceeded` when it did not answer in time; and `CancellationError`.
///
/// ```swift
/// let client = NightjarClient(try .discovered(environment: [:]))
/// let sandbox = try await client.create(SandboxSpec(name: "work"))
/// let result = try await client.exec(sandbox.id.rawValue, ExecRequest(command: ["uname", "-a"]))
/// ```
public final class NightjarClient: Sendable {
    public let configuration: ClientConfiguration
    let pool: ConnectionPool

    public init(_ configuration: ClientConfiguration) {
        self.configuration = configuration
        pool = ConnectionPool(configuration: configuration, group: MultiThreadedEventLoopGroup.singleton)
    }

    /// Closes the kept-alive connections.
    public func close() async { await pool.close() }

    // MARK: Calls

    /// How long to wait for an answer.
    enum Patience: Sendable {
        case standard
        /// The standard wait and this much more.
        case longer(by: Duration)
        case endless
    }

    func send(
        _ method: HTTPMethod, _ target: Target, headers: [(String, String)] = [], body: HTTPRequest.Body = .none,
        patience: Patience = .standard
    ) async throws -> HTTPResponse {
        var request = HTTPRequest(method: method, target: target.string)
        request.headers = HTTPHeaders(headers)
        request.body = body
        switch patience {
        case .standard: request.responseTimeout = configuration.responseTimeout
        case .longer(let more): request.responseTimeout = configuration.responseTimeout + more
        case .endless: request.responseTimeout = nil
        }
        let response = try await sendPatiently(request)
        guard (200..<300).contains(response.status) else {
            let body = try await read(response)
            throw AnswerError.decode(status: response.status, requestID: response.requestID, body: body)
        }
        return response
    }

    /// Sends again what a server refused that is starting or has too much to do, or after too many requests: such a request had no effect.
    private func sendPatiently(_ request: HTTPRequest) async throws -> HTTPResponse {
        let deadline = ContinuousClock.now + configuration.unavailablePatience
        while true {
            let response = try await pool.send(request)
            guard response.status == 503 || response.status == 429, request.body.isRepeatable,
                let seconds = response.headers.first(name: "Retry-After").flatMap({ Int($0) }),
                .now + .seconds(seconds) <= deadline
            else { return response }
            _ = try await read(response)
            // Told in whole seconds, meant as "soon".
            try await Task.sleep(for: seconds <= 1 ? .milliseconds(100) : .seconds(seconds))
        }
    }

    func read(_ response: HTTPResponse) async throws -> [UInt8] {
        do {
            return try await response.body.collect()
        } catch let lost as ConnectionLost {
            throw ConnectionPool.error(for: lost)
        }
    }

    /// A call that is answered by JSON.
    func call<Answer: Decodable>(
        _ method: HTTPMethod, _ target: Target, headers: [(String, String)] = [], body: HTTPRequest.Body = .none,
        patience: Patience = .standard
    ) async throws -> Answer {
        var headers = headers
        if case .bytes = body { headers.append(("Content-Type", "application/json")) }
        let response = try await send(method, target, headers: headers, body: body, patience: patience)
        return try Self.decode(Answer.self, from: try await read(response), requestID: response.requestID)
    }

    /// A call that is answered without content.
    func perform(
        _ method: HTTPMethod, _ target: Target, headers: [(String, String)] = [], body: HTTPRequest.Body = .none
    ) async throws {
        _ = try await read(try await send(method, target, headers: headers, body: body))
    }

    /// A call that is answered by a stream of events.
    func events(_ target: Target, headers: [(String, String)] = []) async throws -> ServerSentEvents {
        let headers = headers + [("Accept", "text/event-stream")]
        return ServerSentEvents(body: try await send(.GET, target, headers: headers).body)
    }

    static func json(_ value: some Encodable) throws -> HTTPRequest.Body {
        .bytes(ByteBuffer(bytes: try JSONEncoder().encode(value)))
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: some Sequence<UInt8>, requestID: String? = nil
    ) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw SandboxError(
                .internalError, "The server's answer is not what this version understands.",
                hint: "are client and server of the same version? (\(error))",
                cause: AnswerError(status: 200, requestID: requestID, retryable: false))
        }
    }
}

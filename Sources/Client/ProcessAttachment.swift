internal import FoundationEssentials
internal import NIOCore
public import SandboxModel

/// What comes from a process that is attached to.
public enum AttachmentEvent: Sendable {
    /// Always the first: the process, and the offset at which its output begins.
    case attached(ProcessResource, offset: Int64)
    case stdout([UInt8])
    case stderr([UInt8])
    /// Always the last.
    case exit(ExitResource)
}

/// A live connection to a process: its output, its input, its terminal.
public struct ProcessAttachment: Sendable {
    let socket: WebSocketConnection

    /// The events, for one reader. The process waits while the reader does not read.
    public var events: Events { Events(socket: socket) }

    /// Writes to standard input; waits while the process does not read.
    public func send(_ bytes: [UInt8]) async throws {
        for start in stride(from: 0, to: bytes.count, by: 32 * 1024) {
            var buffer = ByteBuffer()
            buffer.writeInteger(UInt8(0))
            buffer.writeBytes(bytes[start..<min(start + 32 * 1024, bytes.count)])
            try await socket.outbound.write(.binary(buffer))
        }
    }

    public func closeInput() async throws { try await send(Control(type: "close_stdin")) }

    public func resize(columns: Int, rows: Int) async throws {
        try await send(Control(type: "resize", columns: columns, rows: rows))
    }

    public func signal(_ signal: Int) async throws { try await send(Control(type: "signal", signal: signal)) }

    private struct Control: Encodable {
        var type: String
        var columns: Int?
        var rows: Int?
        var signal: Int?
    }

    private func send(_ control: Control) async throws {
        let text = String(decoding: try JSONEncoder().encode(control), as: UTF8.self)
        try await socket.outbound.write(.text(text))
    }

    /// Throws ``SandboxError`` with `unavailable` if the connection ends before the process does.
    public struct Events: AsyncSequence, Sendable {
        public typealias Element = AttachmentEvent
        public typealias Failure = any Error
        let socket: WebSocketConnection

        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate var base: NIOAsyncChannelInboundStream<WebSocketMessage>.AsyncIterator
            private var ended = false

            fileprivate init(base: NIOAsyncChannelInboundStream<WebSocketMessage>.AsyncIterator) { self.base = base }

            public mutating func next() async throws -> AttachmentEvent? {
                while !ended {
                    guard let message = try await message() else { throw Self.lost(nil) }
                    switch message {
                    case .binary(var buffer):
                        let channel = buffer.readInteger(as: UInt8.self)
                        let bytes = Array(buffer.readableBytesView)
                        if channel == 1 { return .stdout(bytes) }
                        if channel == 2 { return .stderr(bytes) }
                    case .text(let text): if let event = try decode(text) { return event }
                    case .close(let code, let reason):
                        throw Self.lost(AnswerError(status: code, requestID: reason, retryable: true))
                    }
                }
                return nil
            }

            private mutating func message() async throws -> WebSocketMessage? {
                do {
                    return try await base.next()
                } catch let error as CancellationError {
                    throw error
                } catch {
                    throw Self.lost(error)
                }
            }

            private static func lost(_ cause: (any Error)?) -> SandboxError {
                SandboxError(
                    .unavailable, "The connection to the process was lost.", hint: "attach again at the last offset",
                    cause: cause)
            }

            private mutating func decode(_ text: String) throws -> AttachmentEvent? {
                let message = try NightjarClient.decode(Message.self, from: text.utf8)
                switch message.type {
                case "attached":
                    guard let process = message.process else { return nil }
                    return .attached(process, offset: message.offset ?? 0)
                case "exit":
                    guard let exit = message.exit else { return nil }
                    ended = true
                    return .exit(exit)
                case "error":
                    guard let error = message.error else { return nil }
                    let cause = AnswerError(status: 200, requestID: error.requestID, retryable: error.retryable)
                    throw SandboxError(error.code, error.message, hint: error.hint, cause: cause)
                default: return nil
                }
            }
        }

        private struct Message: Decodable {
            var type: String
            var process: ProcessResource?
            var offset: Int64?
            var exit: ExitResource?
            var error: ErrorResource.Body?
        }

        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: socket.inbound.makeAsyncIterator()) }
    }
}

extension NightjarClient {
    /// Attaches to a process from `offset` on (from the oldest retained output, if that is later) and detaches when
    /// `body` returns. The process goes on.
    public func attach<R: Sendable>(
        _ sandbox: String, _ process: UInt32, offset: Int64 = 0, isolation: isolated (any Actor)? = #isolation,
        _ body: (ProcessAttachment) async throws -> R
    ) async throws -> R {
        var target = route(sandbox, process, "attach")
        target.query("offset", offset)
        return try await pool.withWebSocket(target) { try await body(ProcessAttachment(socket: $0)) }
    }

    /// Opens a TCP connection to a port inside the sandbox and lends it to `body`.
    public func connect<R: Sendable>(
        _ sandbox: String, port: UInt16, isolation: isolated (any Actor)? = #isolation,
        _ body: (PortConnection) async throws -> R
    ) async throws -> R {
        try await pool.withWebSocket(Target("sandboxes", sandbox, "ports", "\(port)")) {
            try await body(PortConnection(socket: $0))
        }
    }
}

/// A TCP connection to a port inside a sandbox: the bytes that come from there, in pieces.
///
/// Reading throws ``SandboxError`` with `connection_refused` if nothing listens on the port.
public struct PortConnection: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = any Error
    let socket: WebSocketConnection

    public func write(_ bytes: [UInt8]) async throws {
        for start in stride(from: 0, to: bytes.count, by: 32 * 1024) {
            let piece = bytes[start..<Swift.min(start + 32 * 1024, bytes.count)]
            try await socket.outbound.write(.binary(ByteBuffer(bytes: piece)))
        }
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: NIOAsyncChannelInboundStream<WebSocketMessage>.AsyncIterator
        public mutating func next() async throws -> [UInt8]? {
            while let message = try await base.next() {
                switch message {
                case .binary(let buffer): return Array(buffer.readableBytesView)
                case .close: return nil
                case .text(let text): throw AnswerError.decode(status: 200, requestID: nil, body: Array(text.utf8))
                }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: socket.inbound.makeAsyncIterator()) }
}

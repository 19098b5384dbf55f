internal import NIOCore
internal import NIOHTTP1
internal import SandboxModel

/// A request as the connection sends it.
struct HTTPRequest: Sendable {
    enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        /// `length` in bytes, if it is known; the pieces are sent as the connection takes them.
        case stream(length: Int64?, pieces: BodyStream)

        var isRepeatable: Bool {
            if case .stream = self { false } else { true }
        }
    }

    var method: HTTPMethod
    /// Path and query, percent-encoded.
    var target: String
    var headers = HTTPHeaders()
    var body = Body.none
    /// Bound of the wait for the answer's head, counted from the end of the request; `nil`: none.
    var responseTimeout: Duration?

    /// Whether a second try after a lost connection cannot do something twice.
    var isReplayable: Bool {
        guard body.isRepeatable else { return false }
        return method == .GET || method == .HEAD || method == .PUT || method == .DELETE
            || headers.contains(name: "Idempotency-Key")
    }
}

/// A type-erased source of body pieces, read by one consumer.
struct BodyStream: Sendable {
    let forEach: @Sendable (_ take: (ByteBuffer) async throws -> Void) async throws -> Void

    init<S: AsyncSequence & Sendable>(_ pieces: S) where S.Element == [UInt8] {
        forEach = { take in
            for try await piece in pieces where !piece.isEmpty { try await take(ByteBuffer(bytes: piece)) }
        }
    }
}

/// The head of an answer, with its body to be read.
struct HTTPResponse: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: ResponseBody

    var requestID: String? { headers.first(name: "X-Request-ID") }
}

/// The body of an answer, as it comes. Reading slowly slows the sender down; dropping it ends the connection.
public struct ResponseBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = any Error

    typealias Producer = NIOThrowingAsyncSequenceProducer<
        ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, ResponseFlow
    >

    let buffers: Producer

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: Producer.AsyncIterator
        public mutating func next() async throws -> [UInt8]? {
            guard let buffer = try await base.next() else { return nil }
            return Array(buffer.readableBytesView)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: buffers.makeAsyncIterator()) }

    /// Reads all of it.
    ///
    /// - Throws: ``SandboxError`` with `body_too_large` beyond `limit` bytes, `unavailable` if the connection is lost.
    public func collect(upTo limit: Int = 64 << 20) async throws -> [UInt8] {
        var result = [UInt8]()
        for try await buffer in buffers {
            guard result.count + buffer.readableBytes <= limit else {
                throw SandboxError(.bodyTooLarge, "The server's answer is larger than \(limit) bytes.")
            }
            result.append(contentsOf: buffer.readableBytesView)
        }
        return result
    }
}

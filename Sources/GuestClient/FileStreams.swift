internal import SandboxModel
internal import Synchronization
public import Wire

/// The contents of a file on their way. One task reads; letting go of it ends the transfer.
public final class FileReadStream: AsyncSequence, Sendable {
    /// What ``next()`` returns.
    public typealias Element = [UInt8]

    /// The file, as it was when the transfer began.
    public let info: FileInfo
    private let handle: StreamHandle
    private let hasEnded = Mutex(false)

    init(_ handle: StreamHandle, info: FileInfo) {
        self.handle = handle
        self.info = info
    }

    /// The next bytes (at most 64 KiB); `nil` at the end.
    ///
    /// - Throws: ``SandboxError`` if the transfer broke off.
    public func next() async throws -> [UInt8]? {
        while true {
            switch try await handle.nextWithoutStall() {
            case .data(let bytes, _): return bytes
            case .end: hasEnded.withLock { $0 = true }
            case .closed(let status):
                if status.code == .ok, hasEnded.withLock({ $0 }) { return nil }
                throw Subject.file(info.path).error(for: status)
            case .message: throw handle.core.broken("a reply within a file")
            case nil: return nil
            }
        }
    }

    /// Iterates by ``FileReadStream/next()``.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: FileReadStream
        /// The next bytes.
        public mutating func next() async throws -> [UInt8]? { try await stream.next() }
    }

    /// There is one order of bytes, shared by all iterators.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}

/// Entries of a directory, or events of a watch. One task reads; letting go of it ends the walk or the watch.
public final class RecordStream: AsyncSequence, Sendable {
    /// What ``next()`` returns.
    public typealias Element = WireRecord

    private struct Parser {
        var buffer: [UInt8] = []
        var position = 0

        mutating func append(_ bytes: [UInt8]) {
            buffer.removeSubrange(0..<position)
            position = 0
            buffer.append(contentsOf: bytes)
        }

        mutating func next() throws(WireError) -> WireRecord? {
            guard buffer.count - position >= 4 else { return nil }
            var head = WireReader(Array(buffer[position..<(position + 4)]))
            let length = Int(try head.u32())
            guard length <= WireRecord.maximumSize else { throw .badMessage("a record is too long") }
            let end = position + 4 + length
            guard buffer.count >= end else { return nil }
            var one = Array(buffer[position..<end])
            position = end
            return try WireRecord.take(from: &one)
        }
    }

    private let handle: StreamHandle
    private let path: [UInt8]
    private let isEndless: Bool
    private let parser = Mutex(Parser())

    init(_ handle: StreamHandle, path: [UInt8], isEndless: Bool) {
        self.handle = handle
        self.path = path
        self.isEndless = isEndless
    }

    /// The next record; `nil` at the end of a listing, and after ``close()``.
    ///
    /// - Throws: ``SandboxError`` if the walk or the watch broke off.
    public func next() async throws -> WireRecord? {
        while true {
            if let record = try buffered() { return record }
            switch try await isEndless ? handle.next() : handle.nextWithoutStall() {
            case .data(let bytes, _): parser.withLock { $0.append(bytes) }
            case .end: continue
            case .closed(let status):
                guard status.code == .ok else { throw Subject.file(path).error(for: status) }
                guard parser.withLock({ $0.position == $0.buffer.count }) else {
                    throw handle.core.broken("half a record")
                }
                return nil
            case .message: throw handle.core.broken("a reply within records")
            case nil: return nil
            }
        }
    }

    /// Ends the walk or the watch.
    public func close() { handle.close() }

    private func buffered() throws(SandboxError) -> WireRecord? {
        do {
            return try parser.withLock { (parser) throws(WireError) in try parser.next() }
        } catch { throw handle.core.broken("a record that cannot be read (\(error))") }
    }

    /// Iterates by ``RecordStream/next()``.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: RecordStream
        /// The next record.
        public mutating func next() async throws -> WireRecord? { try await stream.next() }
    }

    /// There is one order of records, shared by all iterators.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}

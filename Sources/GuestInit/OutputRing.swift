/// The retained output of a process: both of its outputs in the order of arrival, addressed by the count of bytes since
/// the start.
struct OutputRing {
    private struct Chunk {
        var offset: Int64
        var isError: Bool
        var bytes: [UInt8]
        var end: Int64 { offset + Int64(bytes.count) }
    }

    static let capacityRange = 4 * 1024...16 * 1024 * 1024
    /// What an attached reader may lag behind, at least, before the process has to wait.
    static let minimumLag = 256 * 1024
    private static let coalesceBelow = 16 * 1024

    let capacity: Int
    /// The oldest byte that is still here, and one past the newest.
    private(set) var start: Int64 = 0
    private(set) var end: Int64 = 0
    private var chunks: [Chunk] = []
    private var head = 0

    init(capacity: Int) {
        self.capacity = min(max(capacity, OutputRing.capacityRange.lowerBound), OutputRing.capacityRange.upperBound)
    }

    var retained: Int { Int(end - start) }

    /// Bytes that can be added before a reader at `floor` would lose some; without readers the oldest give way.
    func room(floor: Int64?) -> Int {
        guard let floor else { return Int.max }
        return max(0, max(capacity, OutputRing.minimumLag) - Int(end - floor))
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, isError: Bool, floor: Int64?) {
        guard !bytes.isEmpty else { return }
        if let last = chunks.indices.last, last >= head, chunks[last].isError == isError,
            chunks[last].bytes.count < OutputRing.coalesceBelow, bytes.count < OutputRing.coalesceBelow
        {
            chunks[last].bytes.append(contentsOf: bytes)
        } else {
            chunks.append(Chunk(offset: end, isError: isError, bytes: Array(bytes)))
        }
        end += Int64(bytes.count)
        trim(floor: floor)
    }

    /// Drops what is beyond the capacity and not needed by a reader at `floor`.
    mutating func trim(floor: Int64?) {
        start = max(start, min(floor ?? end, end - Int64(capacity)))
        drop()
    }

    mutating func clear() {
        start = end
        drop()
    }

    private mutating func drop() {
        while head < chunks.count, chunks[head].end <= start {
            chunks[head].bytes = []
            head += 1
        }
        if head == chunks.count {
            chunks.removeAll()
            head = 0
        } else if head >= 64, head * 2 >= chunks.count {
            chunks.removeFirst(head)
            head = 0
        }
    }

    /// The bytes from `offset` (not before ``start``) of one output, at most `limit`; `nil` if there are none yet.
    func read(at offset: Int64, limit: Int) -> (bytes: [UInt8], isError: Bool)? {
        guard offset >= start, offset < end, limit > 0 else { return nil }
        var low = head
        var high = chunks.count - 1
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        let chunk = chunks[low]
        let first = Int(offset - chunk.offset)
        let last = min(chunk.bytes.count, first + limit)
        return (Array(chunk.bytes[first..<last]), chunk.isError)
    }
}

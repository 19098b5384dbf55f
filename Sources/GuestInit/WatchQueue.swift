internal import Wire

/// Events that wait for the host, bounded: beyond that they are replaced by one that says so.
struct WatchQueue {
    static let maximum = 4096

    private var events = Queue<WatchEvent>()
    private var last: WatchEvent?
    private var partial: [UInt8] = []

    var isEmpty: Bool { events.isEmpty && partial.isEmpty }

    mutating func append(_ event: WatchEvent) {
        // A file that is written in small pieces changes once, as far as anybody can tell.
        if event == last, event.kind == .modified || event.kind == .attributes || event.kind == .overflow { return }
        if events.count >= WatchQueue.maximum {
            events.removeAll()
            last = nil
            return append(WatchEvent(kind: .overflow, path: []))
        }
        events.append(event)
        last = event
    }

    /// The next bytes of records, at most `limit`.
    mutating func take(_ limit: Int) -> [UInt8] {
        while partial.count < limit, let event = events.popFirst() {
            partial += WireRecord.event(event).encoded()
        }
        if events.isEmpty { last = nil }
        guard partial.count > limit else {
            defer { partial = [] }
            return partial
        }
        defer { partial.removeFirst(limit) }
        return Array(partial[0..<limit])
    }
}

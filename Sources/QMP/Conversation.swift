internal import LinuxSystem
internal import SandboxModel

/// Something that QEMU tells unasked.
public struct QMPEvent: Sendable, Hashable {
    /// What happened. QEMU's own names.
    public struct Name: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let stop = Name(rawValue: "STOP")
        public static let resume = Name(rawValue: "RESUME")
        public static let shutdown = Name(rawValue: "SHUTDOWN")
        public static let reset = Name(rawValue: "RESET")
        public static let migration = Name(rawValue: "MIGRATION")
        public static let guestPanicked = Name(rawValue: "GUEST_PANICKED")
        public static let blockError = Name(rawValue: "BLOCK_IO_ERROR")
        public static let balloonChange = Name(rawValue: "BALLOON_CHANGE")
    }

    public var name: Name
    /// `null` if the event has none.
    public var data: QMPValue
}

/// A place in the sequence of events of one connection.
public struct QMPEventPosition: Sendable, Hashable {
    fileprivate(set) var number: UInt64
}

/// What both sides have said, without the socket: bytes in, answers and events out.
struct Conversation {
    /// QEMU's longest answers (of queries that this client does not make) are some hundred kilobytes.
    static let longestLine = 1 << 20
    static let longestEvent = 1 << 16
    static let keptEvents = 64
    /// Commands whose callers did not wait for the answers, which may still come.
    static let mostAbandoned = 16

    /// Events that are kept; all others are dropped as they come.
    let interest: Set<QMPEvent.Name>

    private(set) var greeting: QMPValue?
    /// Why nothing can be expected any more.
    private(set) var failure: QMPError?
    /// Whether a task is waiting for the socket.
    var isReading = false
    /// Tasks that wait while another one reads.
    private var followers: [ObjectIdentifier: Wakeup] = [:]
    private var buffer: [UInt8] = []
    /// How much of the buffer holds no end of a line.
    private var searched = 0
    private var isCommandUnderWay = false
    private var nextID: Int64 = 1
    private var pending: (id: Int64, command: String)?
    private var answer: Result<QMPValue, QMPError>?
    private var abandoned: Set<Int64> = []
    private var events: [QMPEvent] = []
    /// The number of the first event that is kept.
    private var firstEvent: UInt64 = 0

    init(interest: Set<QMPEvent.Name>) { self.interest = interest }

    // MARK: Commands

    /// Takes the right to send a command, which one task at a time has; `nil`: another one has it.
    mutating func takeTurn() -> Void? {
        guard !isCommandUnderWay else { return nil }
        isCommandUnderWay = true
        return ()
    }

    mutating func releaseTurn() {
        isCommandUnderWay = false
        wakeFollowers()
    }

    /// Begins a command, and says its identifier.
    mutating func begin(_ command: String) -> Int64 {
        defer { nextID += 1 }
        pending = (nextID, command)
        answer = nil
        return nextID
    }

    /// The answer to the command under way, once.
    mutating func takeAnswer() throws(QMPError) -> QMPValue? {
        guard let answer else { return nil }
        pending = nil
        self.answer = nil
        return try answer.get()
    }

    /// The command under way was not sent.
    mutating func forget() { pending = nil }

    /// Nobody waits for the answer any more; it is dropped when it comes.
    mutating func abandon() {
        guard let id = pending?.id else { return }
        pending = nil
        // It came in the last moment.
        guard answer == nil else {
            answer = nil
            return
        }
        abandoned.insert(id)
        if abandoned.count > Self.mostAbandoned {
            fail(.unusable("\(abandoned.count) commands without an answer"))
        }
    }

    // MARK: Events

    /// Where events begin that come from now on.
    var position: QMPEventPosition { QMPEventPosition(number: firstEvent + UInt64(events.count)) }

    /// The first event with one of the names at or after a position; moves the position behind it, or to where the
    /// next look begins.
    func event(
        _ names: Set<QMPEvent.Name>, from position: inout QMPEventPosition
    ) throws(QMPError) -> QMPEvent? {
        guard position.number >= firstEvent else { throw .eventsLost }
        // A position of another connection may be beyond the last event.
        while position.number < self.position.number {
            let event = events[Int(position.number - firstEvent)]
            position.number += 1
            if names.contains(event.name) { return event }
        }
        return nil
    }

    // MARK: Waiting

    mutating func follow(_ wakeup: Wakeup) { followers[ObjectIdentifier(wakeup)] = wakeup }

    mutating func unfollow(_ wakeup: Wakeup) { followers[ObjectIdentifier(wakeup)] = nil }

    private mutating func wakeFollowers() {
        for follower in followers.values { follower.signal() }
        followers = [:]
    }

    /// The reader is done, with or without something read: another one may have to read now.
    mutating func stopReading() {
        isReading = false
        wakeFollowers()
    }

    /// Nothing can be expected any more. The first reason counts.
    mutating func fail(_ error: QMPError) {
        if failure == nil { failure = error }
        buffer = []
        searched = 0
        wakeFollowers()
    }

    // MARK: What comes

    /// Takes what was read; no bytes mean that the other side has closed.
    mutating func feed(_ bytes: [UInt8]) {
        guard failure == nil else { return }
        guard !bytes.isEmpty else { return fail(.closed(unfinished: buffer.count)) }
        buffer += bytes
        var start = 0
        do throws(QMPError) {
            while let end = buffer[max(start, searched)...].firstIndex(of: UInt8(ascii: "\n")) {
                try take(buffer[start..<end])
                start = end + 1
                searched = start
            }
            guard buffer.count - start <= Self.longestLine else { throw .lineTooLong(limit: Self.longestLine) }
            buffer.removeFirst(start)
            searched = buffer.count
        } catch {
            fail(error)
        }
    }

    private mutating func take(_ line: ArraySlice<UInt8>) throws(QMPError) {
        guard line.count <= Self.longestLine else { throw .lineTooLong(limit: Self.longestLine) }
        // QEMU ends its lines with CR and LF.
        let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        guard !text.isEmpty else { return }
        let message = try QMPValue(line: text)
        if greeting == nil {
            guard let greeting = message["QMP"] else { throw .malformed("the greeting is missing") }
            self.greeting = greeting
        } else if let name = message["event"] {
            guard let name = name.string else { throw .malformed("an event without a name") }
            guard text.count <= Self.longestEvent else { throw .lineTooLong(limit: Self.longestEvent) }
            keep(QMPEvent(name: QMPEvent.Name(rawValue: name), data: message["data"] ?? .null))
        } else {
            try take(answer: message)
        }
    }

    private mutating func keep(_ event: QMPEvent) {
        guard interest.contains(event.name) else { return }
        events.append(event)
        if events.count > Self.keptEvents {
            events.removeFirst()
            firstEvent += 1
        }
    }

    private mutating func take(answer message: QMPValue) throws(QMPError) {
        guard let id = message["id"] else {
            // QEMU has no identifier for a line that it could not read.
            let reason = message["error"]?["desc"]?.string ?? "neither an answer nor an event"
            throw .malformed(reason)
        }
        guard let id = id.integer else { throw .unknownIdentifier("not a number") }
        if abandoned.remove(id) != nil { return }
        guard let pending, id == pending.id, answer == nil else { throw .unknownIdentifier("\(id)") }
        switch (message["return"], message["error"]) {
        case (let value?, nil): answer = .success(value)
        case (nil, let error?):
            guard let kind = error["class"]?.string, let reason = error["desc"]?.string else {
                throw .malformed("an error without a reason")
            }
            answer = .failure(.refused(command: pending.command, kind: kind, reason: reason))
        default: throw .malformed("an answer that is neither a success nor an error")
        }
    }
}

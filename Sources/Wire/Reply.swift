/// The payload of a `message` frame: an answer on a stream, or ``hello(_:)`` on stream 0 at the start of a session.
public enum Reply: Sendable, Hashable {
    case hello(Hello)
    case ok
    /// The process runs. `startOffset` is the output offset of the first byte that follows (0).
    case started(ProcessInfo)
    /// Output follows from `startOffset` (larger than asked for, if the part before is no longer retained).
    case attached(ProcessInfo, startOffset: Int64)
    case exited(ProcessExit)
    case processes([ProcessInfo])
    case table([TableEntry])
    case file(FileInfo)
    case metrics(GuestMetrics)
    /// One line each; empty: a checkpoint will succeed.
    case blockers([String])
}

/// The guest's introduction.
public struct Hello: Sendable, Hashable {
    /// Protocol generations that the guest speaks; the host uses the highest that both know.
    public var oldestGeneration: UInt16
    public var newestGeneration: UInt16
    /// Version of the init binary.
    public var version: String
    /// Random, made when the init started: tells one boot from another; stays the same across standby.
    public var boot: UInt64
    public init(oldestGeneration: UInt16, newestGeneration: UInt16, version: String, boot: UInt64) {
        self.oldestGeneration = oldestGeneration
        self.newestGeneration = newestGeneration
        self.version = version
        self.boot = boot
    }
    /// The generation that this source describes.
    public static let generation: UInt16 = 1
}

/// How a process ended.
public struct ProcessExit: Sendable, Hashable {
    /// 0 to 255; 128 + signal if a signal ended it.
    public var code: Int32
    /// 0 if it exited by itself.
    public var signal: UInt8
    public var timedOut: Bool
    /// Limits of the sandbox that it met while it ran.
    public var hits: LimitHits
    public var endedUnixNanoseconds: Int64
    public var userMicroseconds: UInt64
    public var systemMicroseconds: UInt64
    public var maximumResidentKiB: UInt64
    public init(
        code: Int32, signal: UInt8, timedOut: Bool, hits: LimitHits = [], endedUnixNanoseconds: Int64,
        userMicroseconds: UInt64 = 0, systemMicroseconds: UInt64 = 0, maximumResidentKiB: UInt64 = 0
    ) {
        self.hits = hits
        self.code = code
        self.signal = signal
        self.timedOut = timedOut
        self.endedUnixNanoseconds = endedUnixNanoseconds
        self.userMicroseconds = userMicroseconds
        self.systemMicroseconds = systemMicroseconds
        self.maximumResidentKiB = maximumResidentKiB
    }
}

/// A process that the host started.
public struct ProcessInfo: Sendable, Hashable {
    /// Counts from 1 in this sandbox's life and is never reused, unlike `pid`.
    public var id: UInt32
    public var pid: UInt32
    public var arguments: [String]
    public var directory: String
    public var user: String
    public var tag: String
    public var terminal: Bool
    public var startedUnixNanoseconds: Int64
    /// Output bytes since the start, and the oldest that is still retained.
    public var outputEnd: Int64
    public var outputStart: Int64
    /// Streams attached now, observers not counted.
    public var attached: UInt32
    public var exit: ProcessExit?
    public init(
        id: UInt32, pid: UInt32, arguments: [String], directory: String, user: String, tag: String, terminal: Bool,
        startedUnixNanoseconds: Int64, outputEnd: Int64, outputStart: Int64, attached: UInt32, exit: ProcessExit?
    ) {
        self.id = id
        self.pid = pid
        self.arguments = arguments
        self.directory = directory
        self.user = user
        self.tag = tag
        self.terminal = terminal
        self.startedUnixNanoseconds = startedUnixNanoseconds
        self.outputEnd = outputEnd
        self.outputStart = outputStart
        self.attached = attached
        self.exit = exit
    }
}

/// Any process of the sandbox, as `/proc` shows it.
public struct TableEntry: Sendable, Hashable {
    public var pid: UInt32
    public var parent: UInt32
    public var uid: UInt32
    /// As in `/proc/PID/stat`: R, S, D, Z, T.
    public var state: UInt8
    public var residentKiB: UInt64
    public var cpuMilliseconds: UInt64
    public var command: String
    public init(
        pid: UInt32, parent: UInt32, uid: UInt32, state: UInt8, residentKiB: UInt64, cpuMilliseconds: UInt64,
        command: String
    ) {
        self.pid = pid
        self.parent = parent
        self.uid = uid
        self.state = state
        self.residentKiB = residentKiB
        self.cpuMilliseconds = cpuMilliseconds
        self.command = command
    }
}

public struct FileInfo: Sendable, Hashable {
    public enum Kind: UInt8, Sendable, Hashable {
        case file = 1
        case directory = 2
        case symlink = 3
        case other = 4
    }
    /// Absolute; in a listing: relative to the listed directory.
    public var path: [UInt8]
    public var kind: Kind
    public var size: Int64
    /// Permission bits.
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32
    public var modifiedUnixNanoseconds: Int64
    /// Of a symlink, otherwise empty.
    public var target: [UInt8]
    public init(
        path: [UInt8], kind: Kind, size: Int64, mode: UInt32, uid: UInt32, gid: UInt32, modifiedUnixNanoseconds: Int64,
        target: [UInt8] = []
    ) {
        self.path = path
        self.kind = kind
        self.size = size
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modifiedUnixNanoseconds = modifiedUnixNanoseconds
        self.target = target
    }
}

/// What the guest's kernel says of itself.
public struct GuestMetrics: Sendable, Hashable {
    public var cpuUserMilliseconds: UInt64
    public var cpuSystemMilliseconds: UInt64
    public var memoryTotalKiB: UInt64
    public var memoryAvailableKiB: UInt64
    public var processes: UInt32
    /// Since the init started.
    public var uptimeMilliseconds: UInt64
    /// Of the root file system.
    public var diskTotalKiB: UInt64
    public var diskFreeKiB: UInt64
    public init(
        cpuUserMilliseconds: UInt64, cpuSystemMilliseconds: UInt64, memoryTotalKiB: UInt64, memoryAvailableKiB: UInt64,
        processes: UInt32, uptimeMilliseconds: UInt64, diskTotalKiB: UInt64, diskFreeKiB: UInt64
    ) {
        self.cpuUserMilliseconds = cpuUserMilliseconds
        self.cpuSystemMilliseconds = cpuSystemMilliseconds
        self.memoryTotalKiB = memoryTotalKiB
        self.memoryAvailableKiB = memoryAvailableKiB
        self.processes = processes
        self.uptimeMilliseconds = uptimeMilliseconds
        self.diskTotalKiB = diskTotalKiB
        self.diskFreeKiB = diskFreeKiB
    }
}

/// The payload of `close`.
public struct WireStatus: Error, Sendable, Hashable {
    public enum Code: UInt16, Sendable, Hashable {
        case ok = 0
        case invalid = 1
        case notFound = 2
        case exists = 3
        case permission = 4
        case notDirectory = 5
        case isDirectory = 6
        case notEmpty = 7
        case noSpace = 8
        case tooLarge = 9
        /// The command could not be started (no such file, not executable).
        case cannotExecute = 10
        case noSuchUser = 11
        case refused = 12
        case exited = 13
        /// An observer was too slow; attach again at an offset.
        case behind = 14
        case unsupported = 15
        case cancelled = 16
        case failed = 17
    }
    public var code: Code
    public var message: String
    /// The guest's errno, or 0.
    public var errno: Int32
    public init(_ code: Code, _ message: String = "", errno: Int32 = 0) {
        self.code = code
        self.message = message
        self.errno = errno
    }
    public static let ok = WireStatus(.ok)

    public func encoded() -> [UInt8] {
        var w = WireWriter()
        w.u16(code.rawValue)
        w.string(message)
        w.i32(errno)
        return w.bytes
    }
    public init(decoding bytes: [UInt8]) throws(WireError) {
        var r = WireReader(bytes)
        code = Code(rawValue: try r.u16()) ?? .failed
        message = try r.string()
        errno = try r.i32()
    }
}

/// Records inside `data`: a listing's entries and a watch's events, each with a `u32` length in front.
public enum WireRecord: Sendable, Hashable {
    case entry(FileInfo)
    case event(WatchEvent)

    public static let maximumSize = 64 * 1024

    /// The record with its length in front.
    public func encoded() -> [UInt8] {
        var w = WireWriter()
        switch self {
        case .entry(let info):
            w.u8(1)
            w.file(info)
        case .event(let event):
            w.u8(2)
            w.u8(event.kind.rawValue)
            w.blob(event.path)
            w.blob(event.from)
        }
        var framed = WireWriter()
        framed.blob(w.bytes)
        return framed.bytes
    }

    /// Takes the first whole record off `buffer`; `nil` if there is none yet.
    public static func take(from buffer: inout [UInt8]) throws(WireError) -> WireRecord? {
        guard buffer.count >= 4 else { return nil }
        var head = WireReader(Array(buffer[0..<4]))
        let length = Int(try head.u32())
        guard length <= maximumSize else { throw .badMessage("a record is too long") }
        guard buffer.count >= 4 + length else { return nil }
        var r = WireReader(Array(buffer[4..<(4 + length)]))
        buffer.removeFirst(4 + length)
        switch try r.u8() {
        case 1: return .entry(try r.file())
        case 2:
            guard let kind = WatchEvent.Kind(rawValue: try r.u8()) else { throw .badMessage("unknown event") }
            return .event(WatchEvent(kind: kind, path: try r.blob(), from: try r.blob()))
        default: throw .badMessage("unknown record")
        }
    }
}

public struct WatchEvent: Sendable, Hashable {
    public enum Kind: UInt8, Sendable, Hashable {
        case created = 1
        case modified = 2
        case removed = 3
        /// `from` is the old path.
        case renamed = 4
        case attributes = 5
        /// Events were lost (too many at once); look again at the whole directory.
        case overflow = 6
    }
    public var kind: Kind
    /// Relative to the watched directory.
    public var path: [UInt8]
    public var from: [UInt8]
    public init(kind: Kind, path: [UInt8], from: [UInt8] = []) {
        self.kind = kind
        self.path = path
        self.from = from
    }
}

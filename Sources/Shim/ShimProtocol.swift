/// What a shim and the server say to each other over `<slot>/shim.sock`.
///
/// A message is a length (`UInt32`, little-endian, of what follows), an operation and a payload; an answer carries the
/// operation of its request, a status (0: done, 1: the payload is an error text) and a payload. One request at a time
/// per connection, several connections at once.
public enum ShimOperation: UInt8, Sendable {
    /// Answered by lines `key value`: `sandbox`, and for gVisor `gofer` (pids), `state` (`created`, `attached` or
    /// `ended`), for a jail `sealed` (0 or 1) and for each file in it `file` with `r` or `w` and its name, and, when
    /// ended, `code`.
    case info = 1
    /// Answered with a duplicate of the host's end of the guest channel attached.
    case channel = 2
    /// gVisor. Payload: ``ShimRoot``. Puts the overlay at the root of the sandbox, which must not have been started yet.
    case attachRoot = 3
    /// Ends and removes everything of the slot, answers, and the shim exits.
    case kill = 4
    /// Answered when the sandbox has ended (at once if it has), by lines
    /// `code` with the exit code (absent: unknown), and `oom` if it was ended because it was out of memory.
    case watch = 5
    /// gVisor. Payload: ``ShimMarks``. Watches the sandbox's memory from now on.
    case guardMemory = 6
    /// gVisor. Answered with a descriptor of the writable layer's file system attached; fails if the layer is a directory.
    case layer = 7
    /// Payload: one byte. 1: the slot is nobody's yet, and goes when no server has been connected for its patience, whatever
    /// runs in it; 0: it stays.
    case provisional = 8
    /// Jail. Payload: a list of ``ShimFile``. Puts files into it, all of them or none.
    case attachFiles = 9
    /// Jail. Takes everything out of it but the files that were put into it. May be repeated.
    case seal = 10
}

/// Framing, the same in both directions.
public enum ShimMessage {
    /// Bytes of a message without its length, at most.
    public static let maximum = 64 * 1024

    /// A request, ready to be sent.
    public static func request(_ operation: ShimOperation, _ payload: [UInt8] = []) -> [UInt8] {
        frame([operation.rawValue] + payload)
    }

    static func answer(_ operation: ShimOperation, failed: Bool = false, _ payload: [UInt8] = []) -> [UInt8] {
        frame([operation.rawValue, failed ? 1 : 0] + payload)
    }

    private static func frame(_ body: [UInt8]) -> [UInt8] {
        let length = UInt32(body.count)
        return [UInt8(length & 0xFF), UInt8(length >> 8 & 0xFF), UInt8(length >> 16 & 0xFF), UInt8(length >> 24)] + body
    }

    /// Takes the first whole message's body off the buffer.
    ///
    /// - Returns: `nil` if it is not whole yet, or an empty array if what came cannot be a message.
    public static func next(_ buffer: inout [UInt8]) -> [UInt8]? {
        guard buffer.count >= 4 else { return nil }
        let length = (0..<4).reduce(0) { $0 | Int(buffer[$1]) << (8 * $1) }
        guard (1...maximum).contains(length) else { return [] }
        guard buffer.count >= 4 + length else { return nil }
        let body = Array(buffer[4..<(4 + length)])
        buffer.removeSubrange(0..<(4 + length))
        return body
    }
}

/// The layers of a sandbox's root, as they travel.
public struct ShimRoot: Sendable, Hashable {
    /// Where the writable layer is.
    public enum Layer: Sendable, Hashable {
        /// overlayfs's two directories, on one file system.
        case directories(upper: String, work: String)
        /// An ext4 image, and a directory to mount it on where nobody else sees it.
        case image(path: String, place: String)
    }

    private struct Flags: OptionSet {
        var rawValue: UInt8
        static let volatile = Flags(rawValue: 1)
        static let fresh = Flags(rawValue: 2)
        static let image = Flags(rawValue: 4)
        static let known: Flags = [.volatile, .fresh, .image]
    }

    /// Topmost first.
    public var lower: [String]
    public var layer: Layer
    public var volatile: Bool
    /// Whether what the guest put over the init is set aside; in an image only.
    public var fresh: Bool

    public init(lower: [String], layer: Layer, volatile: Bool, fresh: Bool) {
        self.lower = lower
        self.layer = layer
        self.volatile = volatile
        self.fresh = fresh
    }

    /// Flags and then the paths, each ended by NUL, which no path contains.
    public var encoded: [UInt8] {
        var flags: Flags = volatile ? .volatile : []
        if fresh { flags.insert(.fresh) }
        let own: [String]
        switch layer {
        case .directories(let upper, let work): own = [upper, work]
        case .image(let path, let place):
            own = [path, place]
            flags.insert(.image)
        }
        return [flags.rawValue] + (own + lower).flatMap { Array($0.utf8) + [0] }
    }

    /// `nil` if the bytes are not what ``encoded`` makes.
    public init?(_ bytes: some BidirectionalCollection<UInt8>) {
        guard let flags = bytes.first.map(Flags.init(rawValue:)), flags.isSubset(of: .known), bytes.last == 0 else {
            return nil
        }
        let paths = bytes.dropFirst().dropLast().split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard (3...10).contains(paths.count), paths.allSatisfy({ $0.utf8.first == 0x2F }) else { return nil }
        self.init(
            lower: Array(paths[2...]),
            layer: flags.contains(.image)
                ? .image(path: paths[0], place: paths[1]) : .directories(upper: paths[0], work: paths[1]),
            volatile: flags.contains(.volatile), fresh: flags.contains(.fresh))
    }
}

/// Marks of a sandbox's memory, in bytes as its control group counts them.
public struct ShimMarks: Sendable, Hashable {
    /// Above it the largest process inside is ended.
    public var soft: UInt64
    /// Whoever wants to pass it has to wait.
    public var wall: UInt64
    /// How far the wall moves while a process is being ended.
    public var reserve: UInt64

    public init(soft: UInt64, wall: UInt64, reserve: UInt64) {
        self.soft = soft
        self.wall = wall
        self.reserve = reserve
    }

    /// Three little-endian integers.
    public var encoded: [UInt8] {
        [soft, wall, reserve].flatMap { value -> [UInt8] in
            withUnsafeBytes(of: value.littleEndian) { Array($0) }
        }
    }

    /// `nil` if the bytes are not what ``encoded`` makes.
    public init?(_ bytes: some RandomAccessCollection<UInt8>) {
        guard bytes.count == 24 else { return nil }
        let bytes = Array(bytes)
        let values = stride(from: 0, to: 24, by: 8).map { start -> UInt64 in
            bytes[start..<start + 8].reversed().reduce(0) { (value: UInt64, byte: UInt8) in value << 8 | UInt64(byte) }
        }
        guard values[0] <= values[1] else { return nil }
        self.init(soft: values[0], wall: values[1], reserve: values[2])
    }
}

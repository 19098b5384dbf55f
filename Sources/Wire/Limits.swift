/// Limits of the sandbox that a process met while it ran.
public struct LimitHits: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// It was killed because the sandbox was out of memory.
    public static let memory = LimitHits(rawValue: 1)
    /// One of its descendants was.
    public static let descendantMemory = LimitHits(rawValue: 2)
    /// The disk was full.
    public static let disk = LimitHits(rawValue: 4)
    /// No more processes could be started.
    public static let processes = LimitHits(rawValue: 8)
}

/// What the guest's own kernel enforces, so that a process inside meets an error and not the end of its sandbox. The
/// host's bounds are above these and do not rely on them.
public struct GuestLimits: Sendable, Hashable {
    /// Processes and threads, without the init's own.
    public var processes: UInt32
    /// Bytes of `/tmp` and `/dev/shm`.
    public var temporaryBytes: UInt64
    public var sharedBytes: UInt64
    /// Descriptors per process.
    public var openFiles: UInt64

    public init(processes: UInt32, temporaryBytes: UInt64, sharedBytes: UInt64, openFiles: UInt64) {
        self.processes = processes
        self.temporaryBytes = temporaryBytes
        self.sharedBytes = sharedBytes
        self.openFiles = openFiles
    }

    func encode(_ w: inout WireWriter) {
        w.u32(processes)
        w.u64(temporaryBytes)
        w.u64(sharedBytes)
        w.u64(openFiles)
    }

    init(_ r: inout WireReader) throws(WireError) {
        self.init(
            processes: try r.u32(), temporaryBytes: try r.u64(), sharedBytes: try r.u64(), openFiles: try r.u64())
    }
}

/// Something that the init noticed and the host should tell.
public struct Incident: Sendable, Hashable {
    public enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// A process was killed because the sandbox was out of memory.
        case outOfMemory = 1
        /// The disk became full.
        case diskFull = 2
        /// No more processes could be started.
        case processesExhausted = 3
        /// A process was ended because its time was up.
        case timedOut = 4
        /// A signal ended a process that the host started.
        case signalled = 5
    }
    public var kind: Kind
    /// The process of the host's that it belongs to; 0: none.
    public var process: UInt32
    /// Inside; 0: none.
    public var pid: UInt32
    /// Of ``Kind/signalled``.
    public var signal: UInt8
    /// Memory that a killed process held.
    public var bytes: UInt64
    /// Name of the program, at most 64 bytes; the guest's word.
    public var command: String

    public init(
        kind: Kind, process: UInt32 = 0, pid: UInt32 = 0, signal: UInt8 = 0, bytes: UInt64 = 0, command: String = ""
    ) {
        self.kind = kind
        self.process = process
        self.pid = pid
        self.signal = signal
        self.bytes = bytes
        self.command = command
    }

    func encode(_ w: inout WireWriter) {
        w.u8(kind.rawValue)
        w.u32(process)
        w.u32(pid)
        w.u8(signal)
        w.u64(bytes)
        w.string(command)
    }

    init(_ r: inout WireReader) throws(WireError) {
        guard let kind = Kind(rawValue: try r.u8()) else { throw .badMessage("unknown kind of incident") }
        self.init(
            kind: kind, process: try r.u32(), pid: try r.u32(), signal: try r.u8(), bytes: try r.u64(),
            command: try r.string())
    }
}

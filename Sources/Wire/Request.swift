/// What opens a stream. The host's requests, and one of the guest's (``serviceConnect(name:)``).
///
/// How each goes on, after `open`:
/// - Unary ones are answered with one ``Reply`` flagged `final`, or a `close` with an error.
/// - ``processStart(_:)`` and ``processAttach(_:)``: `message(.started/.attached)`, then `data` from the guest (flag
///   `stderr` tells which), `data` from the host as input (`end` closes it; on a terminal it is a Ctrl-D), at last
///   `message(.exited)` flagged `final`. The host may `close` at any time: that detaches and leaves the process running
///   (or kills it, if ``ProcessStart/killOnDetach``).
/// - ``fileRead(path:offset:length:)``: `message(.file)`, `data`…`end`, then `close`.
/// - ``fileWrite(_:)``: the host sends `data`…`end`; the guest `message(.file)` flagged `final`.
/// - ``fileList(path:depth:)``, ``watch(path:recursive:)``: `message(.ok)`, then `data` that carries records
///   (``WireRecord``), so that they are flow-controlled; a list ends with `end` and `close`, a watch when the host
///   closes.
/// - ``dial(port:)``, ``serviceConnect(name:)``: `message(.ok)` from the side that was asked, then `data` both ways with
///   half-close by `end`; closed by `close` from the side that ends last.
public enum Request: Sendable, Hashable {
    case processStart(ProcessStart)
    case processAttach(ProcessAttach)
    /// Answered by ``Reply/exited(_:)`` when the process has exited, which may be at once.
    case processWait(id: UInt32)
    case processSignal(id: UInt32, signal: UInt8, group: Bool)
    case processResize(id: UInt32, columns: UInt16, rows: UInt16)
    /// Answered by ``Reply/processes(_:)``: those that the host started, running and (the latest 1,024) exited.
    case processList
    /// Answered by ``Reply/table(_:)``: every process of the sandbox, from `/proc`.
    case processTable
    case fileStat(path: [UInt8], follow: Bool)
    /// `depth` 1 lists the directory itself; at most 64.
    case fileList(path: [UInt8], depth: UInt32)
    /// `length` -1: to the end.
    case fileRead(path: [UInt8], offset: Int64, length: Int64)
    case fileWrite(FileWrite)
    case makeDirectory(path: [UInt8], parents: Bool, mode: UInt32, user: String)
    case move(from: [UInt8], to: [UInt8], overwrite: Bool)
    case remove(path: [UInt8], recursive: Bool)
    case changeMode(path: [UInt8], mode: UInt32, recursive: Bool)
    /// `owner` as `user`, `user:group`, `uid` or `uid:gid`.
    case changeOwner(path: [UInt8], owner: String, recursive: Bool)
    case symlink(target: [UInt8], path: [UInt8], user: String)
    case watch(path: [UInt8], recursive: Bool)
    /// A TCP connection to 127.0.0.1 (then ::1) inside the sandbox.
    case dial(port: UInt16)
    /// From the guest: somebody connected to the loopback port of this host service.
    case serviceConnect(name: String)
    /// Replaces the set of host services that the guest offers on its loopback.
    case services([HostService])
    /// Nanoseconds since 1970, the host's clock.
    case setClock(unixNanoseconds: Int64)
    /// Mixes host randomness into the guest's; at most 512 bytes.
    case addEntropy([UInt8])
    case setHostname(String)
    case metrics
    /// Answered by ``Reply/blockers(_:)``: what would make a checkpoint of this guest fail. If nothing would, a checkpoint
    /// is taken to follow: streams of ``watch(path:recursive:)`` are closed with ``WireStatus/Code/cancelled``.
    case checkpointBlockers
    /// What the guest's own kernel is to enforce; once, before anything is started.
    case setLimits(GuestLimits)
    /// From the guest: a limit was met, or a process did not end by itself. Answered by a close.
    case incident(Incident)
    /// SIGTERM to every process, SIGKILL after the grace, then the init exits 0, and a machine turns itself off with its
    /// disk in order. Answered before that.
    case shutdown(graceMilliseconds: UInt32)
    /// Runs a process to its end and forgets it: it has no id of its own, is not listed, and nobody gets its output. It
    /// makes what every process needs known to the guest's kernel before somebody waits for it. Only before anything else
    /// was started; answered by `ok` at its end, however it ended.
    case rehearse(ProcessStart)
    /// Who the guest is: 16 bytes, not all zero. It gives itself a machine id made of them and, with a kernel of its own,
    /// a new boot id, unless it has this identity already. After ``addEntropy(_:)``, so that two clones do not make the same.
    case setIdentity([UInt8])
}

/// A process to start. It leads a session and a process group of its own.
public struct ProcessStart: Sendable, Hashable {
    public enum Input: UInt8, Sendable, Hashable {
        /// `/dev/null`.
        case null = 0
        case pipe = 1
    }
    public struct Terminal: Sendable, Hashable {
        public var columns: UInt16
        public var rows: UInt16
        public init(columns: UInt16, rows: UInt16) {
            self.columns = columns
            self.rows = rows
        }
    }
    public struct Limit: Sendable, Hashable {
        /// Linux's number of the resource (`RLIMIT_…`).
        public var resource: UInt8
        public var soft: UInt64
        public var hard: UInt64
        public init(resource: UInt8, soft: UInt64, hard: UInt64) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }

    /// `arguments[0]` is looked up in the `PATH` of `environment` unless it has a slash.
    public var arguments: [String]
    /// The whole environment. `HOME`, `USER`, `LOGNAME` and `SHELL` are filled in from the user if they are not in it.
    public var environment: [String: String] = [:]
    /// Empty: the user's home, or `/` if it has none.
    public var directory = ""
    /// Name, uid, `name:group` or `uid:gid`; empty: root.
    public var user = ""
    public var input = Input.null
    /// If set, the three standard descriptors are a new terminal; `input` is not looked at.
    public var terminal: Terminal?
    /// 0: none. At the end: SIGTERM to the group, SIGKILL 2 seconds later; `exited` says `timedOut`.
    public var timeoutMilliseconds: UInt64 = 0
    public var limits: [Limit] = []
    /// Bytes of output kept for those who attach later, 4 KiB to 16 MiB.
    public var retainedBytes: UInt32 = 1 << 20
    /// Free text of the host's, returned in ``ProcessInfo``.
    public var tag = ""
    /// Whether the stream that starts it receives its output. A receiver that does not read makes the process wait.
    /// If not, `message(.started)` is flagged `final`; its exit can be waited for (``Request/processWait(id:)``).
    public var attach = true
    /// Whether a detach (or the loss of the host) ends the process: SIGHUP to the group, SIGKILL 2 seconds later.
    public var killOnDetach = false

    public init(arguments: [String]) { self.arguments = arguments }
}

/// Attaches to a process that was started before.
public struct ProcessAttach: Sendable, Hashable {
    public var id: UInt32
    /// Count of output bytes (of both outputs, since the start) at which to begin; -1: what comes from now on. If that
    /// part is no longer retained, ``Reply/attached(_:startOffset:)`` tells where the output begins instead.
    public var offset: Int64 = 0
    /// Watches without input; it never makes the process wait: what it does not read in time is skipped, and told by
    /// a jump (``WireRecord`` is not used; the stream is closed with ``WireStatus/Code/behind``).
    public var observer = false
    public init(id: UInt32, offset: Int64 = 0, observer: Bool = false) {
        self.id = id
        self.offset = offset
        self.observer = observer
    }
}

public struct FileWrite: Sendable, Hashable {
    public var path: [UInt8]
    /// -1: replaces the whole file at the end (atomically, by rename); otherwise writes in place from there.
    public var offset: Int64 = -1
    /// Of a new file.
    public var mode: UInt32 = 0o644
    /// Owner of a new file and of created parents; empty: root.
    public var user = ""
    public var createParents = true
    public init(path: [UInt8]) { self.path = path }
}

/// A service of the host that the guest offers on `127.0.0.1:port` inside.
public struct HostService: Sendable, Hashable {
    public var name: String
    public var port: UInt16
    public init(name: String, port: UInt16) {
        self.name = name
        self.port = port
    }
}

extension Request {
    public func encoded() -> [UInt8] {
        var w = WireWriter()
        switch self {
        case .processStart(let start):
            w.u16(1)
            start.encode(&w)
        case .processAttach(let attach):
            w.u16(2)
            w.u32(attach.id)
            w.i64(attach.offset)
            w.bool(attach.observer)
        case .processWait(let id):
            w.u16(3)
            w.u32(id)
        case .processSignal(let id, let signal, let group):
            w.u16(4)
            w.u32(id)
            w.u8(signal)
            w.bool(group)
        case .processResize(let id, let columns, let rows):
            w.u16(5)
            w.u32(id)
            w.u16(columns)
            w.u16(rows)
        case .processList: w.u16(6)
        case .processTable: w.u16(7)
        case .fileStat(let path, let follow):
            w.u16(8)
            w.blob(path)
            w.bool(follow)
        case .fileList(let path, let depth):
            w.u16(9)
            w.blob(path)
            w.u32(depth)
        case .fileRead(let path, let offset, let length):
            w.u16(10)
            w.blob(path)
            w.i64(offset)
            w.i64(length)
        case .fileWrite(let write):
            w.u16(11)
            w.blob(write.path)
            w.i64(write.offset)
            w.u32(write.mode)
            w.string(write.user)
            w.bool(write.createParents)
        case .makeDirectory(let path, let parents, let mode, let user):
            w.u16(12)
            w.blob(path)
            w.bool(parents)
            w.u32(mode)
            w.string(user)
        case .move(let from, let to, let overwrite):
            w.u16(13)
            w.blob(from)
            w.blob(to)
            w.bool(overwrite)
        case .remove(let path, let recursive):
            w.u16(14)
            w.blob(path)
            w.bool(recursive)
        case .changeMode(let path, let mode, let recursive):
            w.u16(15)
            w.blob(path)
            w.u32(mode)
            w.bool(recursive)
        case .changeOwner(let path, let owner, let recursive):
            w.u16(16)
            w.blob(path)
            w.string(owner)
            w.bool(recursive)
        case .symlink(let target, let path, let user):
            w.u16(17)
            w.blob(target)
            w.blob(path)
            w.string(user)
        case .watch(let path, let recursive):
            w.u16(18)
            w.blob(path)
            w.bool(recursive)
        case .dial(let port):
            w.u16(19)
            w.u16(port)
        case .serviceConnect(let name):
            w.u16(20)
            w.string(name)
        case .services(let services):
            w.u16(21)
            w.list(services) {
                $0.string($1.name)
                $0.u16($1.port)
            }
        case .setClock(let nanoseconds):
            w.u16(22)
            w.i64(nanoseconds)
        case .addEntropy(let bytes):
            w.u16(23)
            w.blob(bytes)
        case .setHostname(let name):
            w.u16(24)
            w.string(name)
        case .metrics: w.u16(25)
        case .checkpointBlockers: w.u16(26)
        case .shutdown(let grace):
            w.u16(27)
            w.u32(grace)
        case .setLimits(let limits):
            w.u16(28)
            limits.encode(&w)
        case .incident(let incident):
            w.u16(29)
            incident.encode(&w)
        case .rehearse(let start):
            w.u16(30)
            start.encode(&w)
        case .setIdentity(let bytes):
            w.u16(31)
            w.blob(bytes)
        }
        return w.bytes
    }

    public init(decoding bytes: [UInt8]) throws(WireError) {
        var r = WireReader(bytes)
        let type = try r.u16()
        switch type {
        case 1: self = .processStart(try ProcessStart(&r))
        case 2: self = .processAttach(.init(id: try r.u32(), offset: try r.i64(), observer: try r.bool()))
        case 3: self = .processWait(id: try r.u32())
        case 4: self = .processSignal(id: try r.u32(), signal: try r.u8(), group: try r.bool())
        case 5: self = .processResize(id: try r.u32(), columns: try r.u16(), rows: try r.u16())
        case 6: self = .processList
        case 7: self = .processTable
        case 8: self = .fileStat(path: try r.blob(), follow: try r.bool())
        case 9: self = .fileList(path: try r.blob(), depth: try r.u32())
        case 10: self = .fileRead(path: try r.blob(), offset: try r.i64(), length: try r.i64())
        case 11:
            var write = FileWrite(path: try r.blob())
            write.offset = try r.i64()
            write.mode = try r.u32()
            write.user = try r.string()
            write.createParents = try r.bool()
            self = .fileWrite(write)
        case 12:
            self = .makeDirectory(path: try r.blob(), parents: try r.bool(), mode: try r.u32(), user: try r.string())
        case 13: self = .move(from: try r.blob(), to: try r.blob(), overwrite: try r.bool())
        case 14: self = .remove(path: try r.blob(), recursive: try r.bool())
        case 15: self = .changeMode(path: try r.blob(), mode: try r.u32(), recursive: try r.bool())
        case 16: self = .changeOwner(path: try r.blob(), owner: try r.string(), recursive: try r.bool())
        case 17: self = .symlink(target: try r.blob(), path: try r.blob(), user: try r.string())
        case 18: self = .watch(path: try r.blob(), recursive: try r.bool())
        case 19: self = .dial(port: try r.u16())
        case 20: self = .serviceConnect(name: try r.string())
        case 21:
            self = .services(
                try r.list(ofAtLeast: 6) { (r: inout WireReader) throws(WireError) -> HostService in
                    .init(name: try r.string(), port: try r.u16())
                })
        case 22: self = .setClock(unixNanoseconds: try r.i64())
        case 23: self = .addEntropy(try r.blob())
        case 24: self = .setHostname(try r.string())
        case 25: self = .metrics
        case 26: self = .checkpointBlockers
        case 27: self = .shutdown(graceMilliseconds: try r.u32())
        case 28: self = .setLimits(try GuestLimits(&r))
        case 29: self = .incident(try Incident(&r))
        case 30: self = .rehearse(try ProcessStart(&r))
        case 31: self = .setIdentity(try r.blob())
        default: throw .badMessage("unknown request \(type)")
        }
    }
}

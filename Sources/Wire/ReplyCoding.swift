extension Reply {
    public func encoded() -> [UInt8] {
        var w = WireWriter()
        switch self {
        case .hello(let hello):
            w.u16(1)
            w.u16(hello.oldestGeneration)
            w.u16(hello.newestGeneration)
            w.string(hello.version)
            w.u64(hello.boot)
        case .ok: w.u16(2)
        case .started(let info):
            w.u16(3)
            w.process(info)
        case .attached(let info, let offset):
            w.u16(4)
            w.process(info)
            w.i64(offset)
        case .exited(let exit):
            w.u16(5)
            w.exit(exit)
        case .processes(let infos):
            w.u16(6)
            w.list(infos) { $0.process($1) }
        case .table(let entries):
            w.u16(7)
            w.list(entries) {
                $0.u32($1.pid)
                $0.u32($1.parent)
                $0.u32($1.uid)
                $0.u8($1.state)
                $0.u64($1.residentKiB)
                $0.u64($1.cpuMilliseconds)
                $0.string($1.command)
            }
        case .file(let info):
            w.u16(8)
            w.file(info)
        case .metrics(let metrics):
            w.u16(9)
            w.u64(metrics.cpuUserMilliseconds)
            w.u64(metrics.cpuSystemMilliseconds)
            w.u64(metrics.memoryTotalKiB)
            w.u64(metrics.memoryAvailableKiB)
            w.u32(metrics.processes)
            w.u64(metrics.uptimeMilliseconds)
            w.u64(metrics.diskTotalKiB)
            w.u64(metrics.diskFreeKiB)
        case .blockers(let lines):
            w.u16(10)
            w.strings(lines)
        }
        return w.bytes
    }

    public init(decoding bytes: [UInt8]) throws(WireError) {
        var r = WireReader(bytes)
        let type = try r.u16()
        switch type {
        case 1:
            self = .hello(
                Hello(
                    oldestGeneration: try r.u16(), newestGeneration: try r.u16(), version: try r.string(),
                    boot: try r.u64()))
        case 2: self = .ok
        case 3: self = .started(try r.process())
        case 4: self = .attached(try r.process(), startOffset: min(try r.i64(), WireReader.largestPosition))
        case 5: self = .exited(try r.exit())
        case 6:
            self = .processes(
                try r.list(ofAtLeast: WireReader.smallestProcess) {
                    (r: inout WireReader) throws(WireError) -> ProcessInfo in try r.process()
                })
        case 7:
            self = .table(
                try r.list(ofAtLeast: 33) { (r: inout WireReader) throws(WireError) -> TableEntry in
                    TableEntry(
                        pid: try r.u32(), parent: try r.u32(), uid: try r.u32(), state: try r.u8(),
                        residentKiB: try r.measure(), cpuMilliseconds: try r.measure(), command: try r.string())
                })
        case 8: self = .file(try r.file())
        case 9:
            self = .metrics(
                GuestMetrics(
                    cpuUserMilliseconds: try r.measure(), cpuSystemMilliseconds: try r.measure(),
                    memoryTotalKiB: try r.measure(), memoryAvailableKiB: try r.measure(), processes: try r.u32(),
                    uptimeMilliseconds: try r.measure(), diskTotalKiB: try r.measure(), diskFreeKiB: try r.measure()))
        case 10: self = .blockers(try r.strings())
        default: throw .badMessage("unknown reply \(type)")
        }
    }
}

extension WireWriter {
    mutating func exit(_ exit: ProcessExit) {
        i32(exit.code)
        u8(exit.signal)
        // Generation 1 began with a byte that is 0 or 1 here; the other bits came later.
        u8((exit.timedOut ? 1 : 0) | exit.hits.rawValue << 1)
        i64(exit.endedUnixNanoseconds)
        u64(exit.userMicroseconds)
        u64(exit.systemMicroseconds)
        u64(exit.maximumResidentKiB)
    }

    mutating func process(_ info: ProcessInfo) {
        u32(info.id)
        u32(info.pid)
        strings(info.arguments)
        string(info.directory)
        string(info.user)
        string(info.tag)
        bool(info.terminal)
        i64(info.startedUnixNanoseconds)
        i64(info.outputEnd)
        i64(info.outputStart)
        u32(info.attached)
        optional(info.exit) { $0.exit($1) }
    }

    mutating func file(_ info: FileInfo) {
        blob(info.path)
        u8(info.kind.rawValue)
        i64(info.size)
        u32(info.mode)
        u32(info.uid)
        u32(info.gid)
        i64(info.modifiedUnixNanoseconds)
        blob(info.target)
    }
}

/// Numbers of the guest are cut to what no honest guest exceeds, so that sums and differences of a few of them, and the
/// same in a unit that is a thousand times smaller, are numbers too: overflow would end the reader's process.
extension WireReader {
    /// Of offsets and sizes, in bytes.
    static let largestPosition: Int64 = 1 << 62
    private static let largestMeasure: UInt64 = 1 << 52

    mutating func measure() throws(WireError) -> UInt64 { min(try u64(), Self.largestMeasure) }
    mutating func offset() throws(WireError) -> Int64 { min(max(try i64(), 0), Self.largestPosition) }
    /// About 146 years before and after 1970, in nanoseconds.
    mutating func time() throws(WireError) -> Int64 { min(max(try i64(), -1 << 62), 1 << 62) }
}

extension WireReader {
    mutating func exit() throws(WireError) -> ProcessExit {
        let (code, signal, marks) = (try i32(), try u8(), try u8())
        return ProcessExit(
            code: code, signal: signal, timedOut: marks & 1 != 0, hits: LimitHits(rawValue: marks >> 1),
            endedUnixNanoseconds: try time(), userMicroseconds: try measure(), systemMicroseconds: try measure(),
            maximumResidentKiB: try measure())
    }

    /// Bytes of a process without any text.
    static let smallestProcess = 54

    mutating func process() throws(WireError) -> ProcessInfo {
        ProcessInfo(
            id: try u32(), pid: try u32(), arguments: try strings(), directory: try string(), user: try string(),
            tag: try string(), terminal: try bool(), startedUnixNanoseconds: try time(), outputEnd: try offset(),
            outputStart: try offset(), attached: try u32(),
            exit: try optional { (r: inout WireReader) throws(WireError) -> ProcessExit in try r.exit() })
    }

    mutating func file() throws(WireError) -> FileInfo {
        let path = try blob()
        guard let kind = FileInfo.Kind(rawValue: try u8()) else { throw .badMessage("unknown file kind") }
        return FileInfo(
            path: path, kind: kind, size: try offset(), mode: try u32(), uid: try u32(), gid: try u32(),
            modifiedUnixNanoseconds: try time(), target: try blob())
    }
}

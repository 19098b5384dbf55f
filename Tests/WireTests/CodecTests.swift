import Testing
import Wire

@Suite struct CodecTests {
    static let requests: [Request] = [
        .processStart(
            {
                var start = ProcessStart(arguments: ["sh", "-c", "echo ü"])
                start.environment = ["PATH": "/bin", "EMPTY": ""]
                start.directory = "/tmp"
                start.user = "agent:staff"
                start.input = .pipe
                start.terminal = .init(columns: 80, rows: 24)
                start.timeoutMilliseconds = .max
                start.limits = [.init(resource: 7, soft: 1, hard: .max)]
                start.retainedBytes = 4096
                start.tag = "build"
                start.attach = false
                start.killOnDetach = true
                return start
            }()),
        .processStart(ProcessStart(arguments: [])),
        .processAttach(.init(id: 7, offset: -1, observer: true)), .processWait(id: .max),
        .processSignal(id: 1, signal: 15, group: true), .processResize(id: 1, columns: 200, rows: 50), .processList,
        .processTable, .fileStat(path: [0x2F, 0xFF], follow: false), .fileList(path: [0x2F], depth: 64),
        .fileRead(path: [0x2F], offset: .max, length: -1),
        .fileWrite(
            {
                var write = FileWrite(path: Array("/a".utf8))
                write.offset = 10
                write.mode = 0o4755
                write.user = "1:2"
                write.createParents = false
                return write
            }()),
        .makeDirectory(path: [0x2F], parents: true, mode: 0o700, user: "x"),
        .move(from: [1], to: [2, 3], overwrite: true), .remove(path: [0x2F], recursive: true),
        .changeMode(path: [0x2F], mode: 0o644, recursive: false), .changeOwner(path: [], owner: "a:b", recursive: true),
        .symlink(target: [0xC3, 0x28], path: [0x2F], user: ""), .watch(path: [0x2F], recursive: true),
        .dial(port: 65535),
        .serviceConnect(name: "gateway"), .services([.init(name: "a", port: 1), .init(name: "", port: 0)]),
        .setClock(unixNanoseconds: .min), .addEntropy([1, 2, 3]), .setHostname("h"), .metrics, .checkpointBlockers,
        .shutdown(graceMilliseconds: 1000),
        .setLimits(GuestLimits(processes: 1, temporaryBytes: 2, sharedBytes: .max, openFiles: 3)),
        .incident(Incident(kind: .outOfMemory, process: 1, pid: 2, signal: 9, bytes: .max, command: "c")),
        .rehearse(ProcessStart(arguments: ["/bin/sh", "-c", ":"])),
        .setIdentity([UInt8](1...16)),
    ]

    static let exit = ProcessExit(
        code: -1, signal: 9, timedOut: true, hits: [.disk, .memory], endedUnixNanoseconds: 1, userMicroseconds: 2,
        systemMicroseconds: 3, maximumResidentKiB: 1 << 52)
    static let info = Wire.ProcessInfo(
        id: 1, pid: 2, arguments: ["a", ""], directory: "/", user: "u", tag: "t", terminal: true,
        startedUnixNanoseconds: 3, outputEnd: 4, outputStart: 5, attached: 6, exit: exit)
    static let file = FileInfo(
        path: [0x2F, 0xFE], kind: .symlink, size: 1, mode: 0o777, uid: 2, gid: 3, modifiedUnixNanoseconds: -4,
        target: [0xFF])
    static let replies: [Reply] = [
        .hello(.init(oldestGeneration: 1, newestGeneration: 2, version: "9.9", boot: .max)), .ok, .started(info),
        .attached(info, startOffset: 99), .exited(exit), .processes([info, info]), .processes([]),
        .table([
            .init(pid: 1, parent: 0, uid: 0, state: 0x53, residentKiB: 1, cpuMilliseconds: 2, command: "init")
        ]),
        .file(file),
        .metrics(
            .init(
                cpuUserMilliseconds: 1, cpuSystemMilliseconds: 2, memoryTotalKiB: 3, memoryAvailableKiB: 4,
                processes: 5,
                uptimeMilliseconds: 6, diskTotalKiB: 7, diskFreeKiB: 8)),
        .blockers(["pid 1 holds a file", ""]),
    ]

    @Test(arguments: requests)
    func `a request comes back as it was`(request: Request) throws {
        #expect(try Request(decoding: request.encoded()) == request)
    }

    @Test(arguments: replies)
    func `a reply comes back as it was`(reply: Reply) throws {
        #expect(try Reply(decoding: reply.encoded()) == reply)
    }

    @Test func `every request and reply that is cut short is refused`() {
        for bytes in CodecTests.requests.map({ $0.encoded() }) {
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) { try Request(decoding: Array(bytes[0..<length])) }
            }
        }
        for bytes in CodecTests.replies.map({ $0.encoded() }) {
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) { try Reply(decoding: Array(bytes[0..<length])) }
            }
        }
    }

    @Test func `bytes of a newer generation behind a message are ignored`() throws {
        for request in CodecTests.requests {
            #expect(try Request(decoding: request.encoded() + [1, 2, 3]) == request)
        }
    }

    @Test func `a status comes back, and an unknown code becomes failed`() throws {
        let status = WireStatus(.noSpace, "The disk is full", errno: 28)
        #expect(try WireStatus(decoding: status.encoded()) == status)
        var bytes = status.encoded()
        bytes[0] = 0xFF
        #expect(try WireStatus(decoding: bytes).code == .failed)
    }

    @Test func `records are taken one by one from a buffer that grows`() throws {
        let records: [WireRecord] = [
            .entry(CodecTests.file), .event(.init(kind: .renamed, path: [1], from: [2])),
            .event(.init(kind: .overflow, path: [])),
        ]
        var buffer: [UInt8] = []
        var taken: [WireRecord] = []
        for byte in records.flatMap({ $0.encoded() }) {
            buffer.append(byte)
            while let record = try WireRecord.take(from: &buffer) { taken.append(record) }
        }
        #expect(taken == records)
        #expect(buffer.isEmpty)
    }

    @Test func `a record that is too long or unknown is refused`() {
        #expect(throws: WireError.self) {
            var buffer: [UInt8] = [0xFF, 0xFF, 0xFF, 0x7F]
            _ = try WireRecord.take(from: &buffer)
        }
        #expect(throws: WireError.self) {
            var buffer: [UInt8] = [1, 0, 0, 0, 9]
            _ = try WireRecord.take(from: &buffer)
        }
    }

    @Test func `a count that cannot be true allocates nothing`() {
        var writer = WireWriter()
        writer.u16(1)
        writer.u32(.max)
        #expect(throws: WireError.self) { try Request(decoding: writer.bytes) }
    }

    @Test func `a count that only fits while items are smaller than they can be is refused`() {
        // Type, count, and 4 MiB of items that claim to be as small as a byte each.
        for type: UInt16 in [6, 7, 10] {
            var writer = WireWriter()
            writer.u16(type)
            writer.u32(UInt32(Frame.maximumMessage - 6))
            let bytes = writer.bytes + [UInt8](repeating: 0, count: Frame.maximumMessage - 6)
            #expect(throws: WireError.badMessage("a count is larger than the message")) { try Reply(decoding: bytes) }
        }
    }

    @Test func `numbers that no honest guest sends are cut to what can be calculated with`() throws {
        let exit = ProcessExit(
            code: .min, signal: .max, timedOut: false, endedUnixNanoseconds: .min, userMicroseconds: .max,
            systemMicroseconds: .max, maximumResidentKiB: .max)
        var info = CodecTests.info
        (info.outputEnd, info.outputStart, info.startedUnixNanoseconds, info.exit) = (.max, .min, .max, exit)
        guard
            case .attached(let read, let offset) = try Reply(
                decoding: Reply.attached(info, startOffset: .max).encoded())
        else { throw WireError.badMessage("another reply") }
        let last = try #require(read.exit)
        #expect(offset.addingReportingOverflow(1 << 61) == (3 << 61, false))
        #expect((read.outputEnd, read.outputStart) == (1 << 62, 0))
        #expect(last.userMicroseconds + last.systemMicroseconds == 1 << 53)
        #expect(last.maximumResidentKiB * 1024 == 1 << 62)
        #expect((last.endedUnixNanoseconds, read.startedUnixNanoseconds) == (-1 << 62, 1 << 62))
        let file = FileInfo(
            path: [0x2F], kind: .file, size: .min, mode: 0, uid: 0, gid: 0, modifiedUnixNanoseconds: .min)
        guard case .file(let found) = try Reply(decoding: Reply.file(file).encoded()) else {
            throw WireError.badMessage("another reply")
        }
        #expect((found.size, found.modifiedUnixNanoseconds) == (0, -1 << 62))
    }
}

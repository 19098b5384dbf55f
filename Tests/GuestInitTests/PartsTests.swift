import Testing
import Wire

@testable import GuestInit

private func append(_ text: String, to ring: inout OutputRing, isError: Bool = false, floor: Int64? = nil) {
    Array(text.utf8).withUnsafeBytes { ring.append($0, isError: isError, floor: floor) }
}

@Suite struct OutputRingTests {
    @Test func `output is read by offset with its tag`() throws {
        var ring = OutputRing(capacity: 4096)
        append("out", to: &ring)
        append("err", to: &ring, isError: true)
        append("more", to: &ring)
        #expect(ring.start == 0)
        #expect(ring.end == 10)
        let first = try #require(ring.read(at: 1, limit: 100))
        #expect(first.bytes == Array("ut".utf8))
        #expect(!first.isError)
        let second = try #require(ring.read(at: 3, limit: 2))
        #expect(second.bytes == Array("er".utf8))
        #expect(second.isError)
        #expect(ring.read(at: 10, limit: 100) == nil)
    }

    @Test func `the oldest bytes give way when nobody reads`() throws {
        var ring = OutputRing(capacity: 4096)
        for index in 0..<1000 { append(String(index % 10) + "234567890", to: &ring, isError: index % 3 == 0) }
        #expect(ring.end == 10_000)
        #expect(ring.retained == 4096)
        #expect(ring.read(at: ring.start - 1, limit: 1) == nil)
        var position = ring.start
        var bytes: [UInt8] = []
        while let piece = ring.read(at: position, limit: 1000) {
            bytes += piece.bytes
            position += Int64(piece.bytes.count)
        }
        let whole = (0..<1000).flatMap { Array((String($0 % 10) + "234567890").utf8) }
        #expect(bytes == Array(whole.suffix(4096)))
    }

    @Test func `nothing that a reader still needs is dropped, and room ends before it would be`() throws {
        var ring = OutputRing(capacity: 4096)
        let line = String(repeating: "x", count: 1024)
        var room = ring.room(floor: 0)
        while room >= line.utf8.count {
            append(line, to: &ring, floor: 0)
            room = ring.room(floor: 0)
        }
        #expect(ring.start == 0)
        #expect(ring.retained <= OutputRing.minimumLag)
        #expect(ring.room(floor: ring.end) > 0)
        ring.trim(floor: nil)
        #expect(ring.retained == 4096)
    }

    @Test func `the capacity is kept within its range`() {
        #expect(OutputRing(capacity: 0).capacity == 4096)
        #expect(OutputRing(capacity: .max).capacity == 16 << 20)
    }
}

@Suite struct OutboxTests {
    private final class Source: Producer {
        let id: UInt32
        var sendWindow = Frame.initialWindow
        var isQueued = false
        init(id: UInt32) { self.id = id }
        func produce(limit: Int) -> Produced { Produced(bytes: [UInt8(id)], next: .again) }
    }

    @Test func `streams take turns, one frame each`() {
        var outbox = Outbox()
        let sources = [1, 3, 5].map { Source(id: $0) }
        for source in sources { outbox.enqueue(source) }
        outbox.enqueue(sources[0])
        var order: [UInt32] = []
        for _ in 0..<7 {
            guard let next = outbox.nextProducer() else { break }
            order.append(next.id)
            outbox.enqueue(next)
        }
        #expect(order == [1, 3, 5, 1, 3, 5, 1])
    }

    @Test func `a new session forgets what was queued`() {
        var outbox = Outbox()
        let source = Source(id: 1)
        outbox.enqueue(source)
        outbox.enqueue(Frame(.close, stream: 1, payload: [1, 2, 3]))
        outbox.encode(Frame(.data, stream: 1, payload: [1]))
        outbox.restart(with: [42])
        #expect(outbox.buffer == [42])
        #expect(outbox.nextControl() == nil)
        #expect(outbox.nextProducer() == nil)
        #expect(!source.isQueued)
        #expect(outbox.controlBytes == 0)
    }

    @Test func `sent bytes leave the buffer, in whatever pieces`() {
        var outbox = Outbox()
        outbox.restart(with: [UInt8](repeating: 1, count: 600_000))
        var left = 600_000
        for piece in [1, 299_999, 5, 299_995] {
            outbox.sent(piece)
            left -= piece
            #expect(outbox.pending == left)
        }
        #expect(outbox.isEmpty)
    }

    @Test func `a queue is first in first out over many turns`() {
        var queue = Queue<Int>()
        var next = 0
        for value in 0..<5000 {
            queue.append(value)
            if value % 3 != 0 {
                #expect(queue.popFirst() == next)
                next += 1
            }
        }
        while let value = queue.popFirst() {
            #expect(value == next)
            next += 1
        }
        #expect(next == 5000)
    }
}

@Suite struct AccountTests {
    let files = AccountFiles(
        passwd: Array(
            """
            root:x:0:0:root:/root:/bin/bash
            broken line
            agent:x:1000:1000:Agent,,,:/home/agent:/bin/sh
            bad:x:-1:0::/:/bin/sh
            1234:x:55:66::/odd:
            """.utf8),
        group: Array("root:x:0:\nstaff:x:50:agent,other\nsudo:x:27:agent\nagent:x:1000:\n".utf8))

    @Test func `users are found by name and by number, with their groups`() throws {
        let agent = Account(
            name: "agent", uid: 1000, gid: 1000, groups: [1000, 50, 27], home: "/home/agent", shell: "/bin/sh")
        #expect(try files.account("agent") == agent)
        #expect(try files.account("1000") == agent)
        #expect(try files.account("").name == "root")
        #expect(try files.account("1234").uid == 55)
    }

    @Test func `a group after the colon replaces the groups`() throws {
        let account = try files.account("agent:sudo")
        #expect(account.gid == 27)
        #expect(account.groups == [27])
        #expect(try files.account("7:8").gid == 8)
    }

    @Test func `a number without an entry is nobody in particular`() throws {
        let account = try files.account("4242")
        #expect(account.uid == 4242)
        #expect(account.gid == 4242)
        #expect(account.home == "/")
    }

    @Test(arguments: ["nobody", "bad", "agent:", "agent:nogroup", "-1", "4294967295", "1:4294967295", " root"])
    func `who is not there is refused`(name: String) {
        #expect { try files.account(name) } throws: { ($0 as? WireStatus)?.code == .noSuchUser }
    }

    @Test func `root exists without any files`() throws {
        #expect(try AccountFiles(passwd: [], group: []).account("").uid == 0)
        #expect(try AccountFiles(passwd: [], group: []).account("root").uid == 0)
    }
}

@Suite struct PathTests {
    @Test(arguments: ["", "a", "./a", "/a\0b", "/" + String(repeating: "a", count: 4096)])
    func `paths that cannot be meant are refused`(path: String) {
        #expect { try Path.checked(Array(path.utf8)) } throws: { ($0 as? WireStatus)?.code == .invalid }
    }

    @Test func `trailing slashes go, other bytes stay`() throws {
        #expect(try Path.checked(Array("/a//".utf8)) == Array("/a".utf8))
        #expect(try Path.checked(Array("///".utf8)) == Array("/".utf8))
        #expect(try Path.checked([0x2F, 0xFF, 0x0A]) == [0x2F, 0xFF, 0x0A])
    }

    @Test func `paths are split and joined`() {
        #expect(Path.parent(Array("/a/b".utf8)) == Array("/a".utf8))
        #expect(Path.parent(Array("/a".utf8)) == Array("/".utf8))
        #expect(Path.name(Array("/a/b".utf8)) == Array("b".utf8))
        #expect(Path.join(Array("/".utf8), Array("a".utf8)) == Array("/a".utf8))
        #expect(Path.join([], Array("a".utf8)) == Array("a".utf8))
    }

    @Test func `a program is looked for in the given PATH`() {
        #expect(Spawn.candidates("ls", path: "/a::/b/") == ["/a/ls", "./ls", "/b//ls"])
        #expect(Spawn.candidates("./x", path: "/a") == ["./x"])
        #expect(Spawn.candidates("ls", path: nil).contains("/usr/bin/ls"))
    }
}

@Suite struct ProcTests {
    @Test func `a stat line is read even if the command is called odd names`() throws {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 1 0 99 1000 12 184467 1 1 0"
        let stat = try #require(ProcStat(Array(line.utf8)))
        #expect(stat.pid == 42)
        #expect(stat.command == "a) b (c")
        #expect(stat.state == UInt8(ascii: "S"))
        #expect(stat.parent == 7)
        #expect(stat.ticks == (50, 60))
        #expect(stat.residentPages == 12)
        #expect(ProcStat(Array("42 (a".utf8)) == nil)
        #expect(ProcStat(Array(") 1 (".utf8)) == nil)
    }

    @Test func `a cpu line of zeros counts as unknown`() {
        #expect(ProcScan.cpuLine(Array("cpu  0 0 0 0 0\n".utf8)) == nil)
        #expect(ProcScan.cpuLine([]) == nil)
        let line = ProcScan.cpuLine(Array("cpu  10 1 20 5\ncpu0 1".utf8))
        #expect(line?.user == 11)
        #expect(line?.system == 20)
    }

    @Test func `only deleted files outside memory stand in the way of a checkpoint`() {
        let mounts =
            "none / 9p rw 0 0\nnone /tmp tmpfs rw 0 0\nnone /with\\040blank tmpfs rw 0 0\nnone /tmp/host 9p rw 0 0\n"
        let blockers = CheckpointBlockers(mounts: Array(mounts.utf8))
        for (target, blocks) in [
            ("/root/x (deleted)", true), ("/root/x", false), ("/tmp/x (deleted)", false),
            ("/tmp/host/x (deleted)", true),
            ("/tmpx/y (deleted)", true), ("/memfd:a (deleted)", false), ("/dev/zero (deleted)", false),
            ("/with blank/x (deleted)", false), ("pipe:[1]", false), ("/SYSV00000000 (deleted)", false), ("", false),
        ] {
            #expect(blockers.blocks(Array(target.utf8)) == blocks, "\(target)")
        }
    }
}

@Suite struct WatchQueueTests {
    @Test func `too many events become one overflow`() throws {
        var queue = WatchQueue()
        for index in 0...WatchQueue.maximum { queue.append(.init(kind: .created, path: Array("f\(index)".utf8))) }
        queue.append(.init(kind: .removed, path: [1]))
        var bytes = queue.take(1 << 20)
        #expect(try WireRecord.take(from: &bytes) == .event(.init(kind: .overflow, path: [])))
        #expect(try WireRecord.take(from: &bytes) == .event(.init(kind: .removed, path: [1])))
        #expect(bytes.isEmpty)
        #expect(queue.isEmpty)
    }

    @Test func `repeated changes of one file are told once until they are taken`() throws {
        var queue = WatchQueue()
        let event = WatchEvent(kind: .modified, path: [1])
        for _ in 0..<10 { queue.append(event) }
        var bytes = queue.take(1 << 20)
        #expect(try WireRecord.take(from: &bytes) == .event(event))
        #expect(bytes.isEmpty)
        queue.append(event)
        #expect(!queue.isEmpty)
    }

    @Test func `records are cut where the window ends`() throws {
        var queue = WatchQueue()
        for index in 0..<100 { queue.append(.init(kind: .created, path: Array("file-\(index)".utf8))) }
        var bytes: [UInt8] = []
        while !queue.isEmpty {
            let part = queue.take(7)
            #expect(part.count <= 7)
            bytes += part
        }
        var count = 0
        while try WireRecord.take(from: &bytes) != nil { count += 1 }
        #expect(count == 100)
    }
}

@Suite struct KernelLogTests {
    private func kill(_ record: String) -> KernelLog.Kill? { KernelLog.kill(Array(record.utf8)) }

    @Test func `what the kernel ended is read out of its log`() {
        let told = "total-vm:9kB, anon-rss:2048kB, file-rss:1kB, shmem-rss:0kB, UID:0 oom_score_adj:0\n CPU=0\n"
        let expected = KernelLog.Kill(pid: 417, command: "a (b) c", bytes: 2 << 20)
        #expect(kill("3,812,512,-;Out of memory: Killed process 417 (a (b) c) \(told)") == expected)
        #expect(kill("3,812,512,-;Memory cgroup out of memory: Killed process 417 (a (b) c) \(told)") == expected)
    }

    @Test func `what a program writes into the kernel's log is not believed`() {
        #expect(kill("11,812,512,-;Out of memory: Killed process 1 (x) anon-rss:1kB") == nil)
    }

    @Test(arguments: [
        "", ";", "3,1,2,-;", "x,1,2,-;Out of memory: Killed process 1 (x)", "3,1,2,-;Out of memory: Killed process (x)",
        "3,1,2,-;Out of memory: Killed process 1 )x(", "3,1,2,-;Out of memory: Killed process 99999999999 (x)",
    ])
    func `a record of another form is none`(record: String) { #expect(kill(record) == nil) }
}

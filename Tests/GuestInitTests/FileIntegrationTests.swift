import Glibc
import Testing
import Wire

@Suite(.serialized) struct FileIntegrationTests {
    private func write(
        _ guest: TestGuest, _ path: [UInt8], _ bytes: [UInt8], _ change: (inout FileWrite) -> Void = { _ in }
    )
        throws -> FileInfo?
    {
        var write = FileWrite(path: path)
        change(&write)
        let stream = guest.open(.fileWrite(write))
        try guest.give(bytes, to: stream)
        try guest.finish(stream)
        guard case .file(let info)? = stream.replies.last else { return nil }
        return info
    }

    private func read(_ guest: TestGuest, _ path: [UInt8], _ offset: Int64 = 0, _ length: Int64 = -1) throws -> [UInt8]
    {
        try guest.finish(guest.open(.fileRead(path: path, offset: offset, length: length))).output
    }

    private func list(_ guest: TestGuest, _ path: [UInt8], depth: UInt32 = 1) throws -> [FileInfo] {
        var bytes = try guest.finish(guest.open(.fileList(path: path, depth: depth))).output
        var infos: [FileInfo] = []
        while case .entry(let info)? = try WireRecord.take(from: &bytes) { infos.append(info) }
        #expect(bytes.isEmpty)
        return infos
    }

    private func names(_ infos: [FileInfo]) -> [String] { infos.map { String(decoding: $0.path, as: UTF8.self) } }

    @Test func `a file is written whole, read back, and read in parts`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let path = directory.bytes("a/b/file")
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 257) }
        let info = try write(guest, path, bytes) {
            $0.mode = 0o640
            $0.user = "12:34"
        }
        #expect(info?.size == 3_000_000)
        #expect(info?.mode == 0o640)
        #expect(info?.uid == 12)
        #expect(info?.gid == 34)
        #expect(try read(guest, path) == bytes)
        #expect(try read(guest, path, 1_000_000, 5) == Array(bytes[1_000_000..<1_000_005]))
        #expect(try read(guest, path, 2_999_999) == [bytes[2_999_999]])
        #expect(try read(guest, path, 9_000_000).isEmpty)
    }

    @Test func `a replaced file keeps its mode and owner, and writing in place keeps the rest`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let path = directory.bytes("file")
        _ = try write(guest, path, Array("hello".utf8)) {
            $0.mode = 0o600
            $0.user = "12:34"
        }
        let replaced = try write(guest, path, Array("HELLO!".utf8))
        #expect(replaced?.mode == 0o600)
        #expect(replaced?.uid == 12)
        _ = try write(guest, path, Array("__".utf8)) { $0.offset = 2 }
        #expect(try read(guest, path) == Array("HE__O!".utf8))
    }

    @Test func `a write that is given up leaves the old file and nothing else`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let path = directory.bytes("file")
        _ = try write(guest, path, [1])
        let stream = guest.open(.fileWrite(FileWrite(path: path)))
        try guest.give([UInt8](repeating: 2, count: 200_000), to: stream, end: false)
        try guest.until("credit, so that something was written") { _ in stream.window > Frame.initialWindow - 200_000 }
        #expect(names(try list(guest, directory.bytes())).count == 2)
        guest.send(Frame(.close, stream: stream.id, payload: WireStatus(.cancelled).encoded()))
        try guest.until("the temporary file to go") { try names(list($0, directory.bytes())) == ["file"] }
        #expect(try read(guest, path) == [1])
        _ = guest.open(.fileWrite(FileWrite(path: path)))
        try guest.beginSession()
        try guest.until("the temporary file to go") { try names(list($0, directory.bytes())) == ["file"] }
    }

    @Test func `files that are none are refused without waiting`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        #expect(mkfifo(directory.path + "/fifo", 0o600) == 0)
        for (path, code) in [
            (directory.bytes("fifo"), WireStatus.Code.invalid), (Array("/dev/null".utf8), .invalid),
            (directory.bytes(), .isDirectory), (directory.bytes("fifo/x"), .notDirectory), ([], .invalid),
            (Array("relative".utf8), .invalid), ([0x2F, 0], .invalid),
        ] {
            #expect { try read(guest, path) } throws: { ($0 as? WireStatus)?.code == code }
            #expect { _ = try write(guest, path, [1]) } throws: { ($0 as? WireStatus)?.code == code }
        }
        #expect { try read(guest, directory.bytes("absent")) } throws: { ($0 as? WireStatus)?.code == .notFound }
        #expect(try !read(guest, Array("/proc/self/status".utf8)).isEmpty)
    }

    @Test func `a listing is sorted, as deep as asked for, and follows no links`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        for name in ["b/x", "a/y/z", "a-file"] { _ = try write(guest, directory.bytes(name), [1]) }
        try guest.ask(.symlink(target: Array("/etc".utf8), path: directory.bytes("link"), user: ""))
        #expect(names(try list(guest, directory.bytes())) == ["a", "a-file", "b", "link"])
        let deep = try list(guest, directory.bytes(), depth: 64)
        #expect(names(deep) == ["a", "a/y", "a/y/z", "a-file", "b", "b/x", "link"])
        #expect(deep.last?.kind == .symlink)
        #expect(deep.last?.target == Array("/etc".utf8))
        #expect { try list(guest, directory.bytes("a-file")) } throws: { ($0 as? WireStatus)?.code == .notDirectory }
    }

    @Test func `names that are not text survive`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let path = directory.bytes() + [0x2F, 0xFF, 0x0A, 0xC3]
        _ = try write(guest, path, [9])
        #expect(try read(guest, path) == [9])
        #expect(try list(guest, directory.bytes()).map(\.path) == [[0xFF, 0x0A, 0xC3]])
    }

    @Test func `directories are made, moved and removed, and conflicts are told`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let (a, b) = (directory.bytes("a"), directory.bytes("b"))
        try guest.ask(.makeDirectory(path: directory.bytes("a/deep/er"), parents: true, mode: 0o750, user: "12"))
        try guest.ask(.makeDirectory(path: b, parents: false, mode: 0o755, user: ""))
        func fails(_ code: WireStatus.Code, _ request: Request) {
            #expect { try guest.ask(request) } throws: { ($0 as? WireStatus)?.code == code }
        }
        fails(.exists, .makeDirectory(path: b, parents: false, mode: 0o755, user: ""))
        fails(.notFound, .makeDirectory(path: directory.bytes("x/y"), parents: false, mode: 0o755, user: ""))
        fails(.exists, .move(from: a, to: b, overwrite: false))
        fails(.notEmpty, .move(from: b, to: a, overwrite: true))
        try guest.ask(.move(from: a, to: b, overwrite: true))
        fails(.notEmpty, .remove(path: b, recursive: false))
        try guest.ask(.symlink(target: Array("/etc".utf8), path: directory.bytes("b/link"), user: ""))
        try guest.ask(.changeOwner(path: b, owner: "12:34", recursive: true))
        try guest.ask(.changeMode(path: b, mode: 0o711, recursive: true))
        #expect(try list(guest, b, depth: 9).allSatisfy { $0.uid == 12 && $0.gid == 34 })
        try guest.ask(.remove(path: b, recursive: true))
        fails(.notFound, .remove(path: b, recursive: true))
        #expect(access("/etc/passwd", F_OK) == 0)
        for path in ["/", "/.", "//", "/tmp/.."] {
            fails(.invalid, .remove(path: Array(path.utf8), recursive: true))
        }
    }

    @Test func `a tree deeper than any path is removed`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let script = "import os\nos.chdir('\(directory.path)')\nfor i in range(2500):\n os.mkdir('d'); os.chdir('d')"
        var start = ProcessStart(arguments: ["python3", "-c", script])
        start.environment = ["PATH": "/usr/bin:/bin"]
        #expect(try guest.finish(try guest.start(start)).exit?.code == 0)
        try guest.ask(.remove(path: directory.bytes("d"), recursive: true))
        #expect(try list(guest, directory.bytes()).isEmpty)
    }

    @Test func `a watch tells of files, new directories and what was in them, and renamings`() throws {
        let guest = try TestGuest()
        let directory = try TemporaryDirectory()
        let watch = guest.open(.watch(path: directory.bytes(), recursive: true))
        try guest.until("the watch") { _ in watch.replies == [.ok] }
        let outside = try TemporaryDirectory()
        _ = try guest.run(
            "cd \(directory.path); mkdir -p n/m; echo x >n/m/f; mv n/m/f g; mv g \(outside.path)/g")
        var events: [WatchEvent] = []
        try guest.until("all events") { _ in
            var bytes = watch.output
            events = []
            while case .event(let event)? = try WireRecord.take(from: &bytes) { events.append(event) }
            return events.contains(WatchEvent(kind: .removed, path: Array("g".utf8)))
        }
        let created = events.filter { $0.kind == .created }.map { String(decoding: $0.path, as: UTF8.self) }
        #expect(Set(created).isSuperset(of: ["n", "n/m"]))
        #expect(Set(created).count == created.count)
        let renamed = WatchEvent(kind: .renamed, path: Array("g".utf8), from: Array("n/m/f".utf8))
        // The file may have moved before its directory was watched; then it is only seen to arrive.
        #expect(events.contains(renamed) || created.contains("g"))
    }

    @Test func `a port inside is dialled, both ways end for themselves, and a closed port is refused`() throws {
        let guest = try TestGuest()
        let server = """
            import socket
            s = socket.create_server(('127.0.0.1', 4321)); print('up', flush=True)
            c = s.accept()[0]; n = 0
            while True:
                b = c.recv(65536)
                if not b: break
                n += len(b)
            c.sendall(b'%d' % n + b'y' * 500000); c.close()
            """
        var start = ProcessStart(arguments: ["python3", "-c", server])
        start.environment = ["PATH": "/usr/bin:/bin"]
        let process = try guest.start(start)
        try guest.until("the server") { _ in process.text == "up\n" }
        let stream = guest.open(.dial(port: 4321))
        try guest.give([UInt8](repeating: 1, count: 700_000), to: stream)
        try guest.finish(stream)
        #expect(stream.ended)
        #expect(stream.output.count == 500_006)
        #expect(stream.text.hasPrefix("700000y"))
        #expect { try guest.finish(guest.open(.dial(port: 4322))) } throws: { ($0 as? WireStatus)?.code == .refused }
    }

    @Test func `a host service is reached on its port inside`() throws {
        let guest = try TestGuest()
        try guest.ask(.services([.init(name: "gateway", port: 5001)]))
        let client = """
            import socket
            s = socket.create_connection(('127.0.0.1', 5001)); s.sendall(b'hi'); s.shutdown(1)
            b = b''
            while True:
                x = s.recv(65536)
                if not x: break
                b += x
            print(len(b))
            """
        var start = ProcessStart(arguments: ["python3", "-c", client])
        start.environment = ["PATH": "/usr/bin:/bin"]
        let process = try guest.start(start)
        try guest.until("a connection") { !$0.offered.isEmpty }
        let (name, stream) = try #require(guest.offered.first)
        #expect(name == "gateway")
        guest.send(Frame(.message, stream: stream.id, payload: Reply.ok.encoded()))
        try guest.until("the request") { _ in stream.ended }
        #expect(stream.text == "hi")
        try guest.give([UInt8](repeating: 1, count: 400_000), to: stream)
        try guest.finish(process)
        #expect(process.text == "400000\n")
        try guest.ask(.services([]))
        #expect { try guest.finish(guest.open(.dial(port: 5001))) } throws: { ($0 as? WireStatus)?.code == .refused }
    }

    @Test func `a deleted file that is still open stands in the way of a checkpoint until it is closed`() throws {
        let guest = try TestGuest()
        #expect(try guest.ask(.checkpointBlockers) == .blockers([]))
        let directory = try TemporaryDirectory()
        let watch = guest.open(.watch(path: directory.bytes(), recursive: true))
        try guest.until("the watch") { _ in watch.replies == [.ok] }
        let script = "exec 3>\(directory.path)/held; rm \(directory.path)/held; echo up; while :; do sleep 0.02; done"
        let process = try guest.start(TestGuest.shell(script))
        try guest.until("up") { _ in process.text == "up\n" }
        guard case .blockers(let lines) = try guest.ask(.checkpointBlockers) else { return }
        let pid = try #require(process.process?.pid)
        #expect(lines.contains("pid \(pid) (sh) holds the deleted file \(directory.path)/held"))
        try guest.ask(.processSignal(id: try #require(process.process?.id), signal: 9, group: true))
        try guest.finish(process)
        #expect(watch.status == nil)
        try guest.until("no blockers") { try $0.ask(.checkpointBlockers) == .blockers([]) }
        #expect(watch.status?.code == .cancelled)
    }

    @Test func `broken requests end their stream and nothing else`() throws {
        let guest = try TestGuest()
        for payload in [[], [0xFF, 0xFF], [1, 0, 0xFF, 0xFF, 0xFF, 0xFF]] as [[UInt8]] {
            guest.send(Frame(.open, stream: 1001, payload: payload))
        }
        guest.send(Frame(.data, stream: 77, payload: [1]))
        guest.send(Frame(.credit, stream: 77))
        guest.send(Frame(.message, stream: 77, payload: [1]))
        guest.send(Frame(.open, stream: 2, payload: Request.processList.encoded()))
        let watch = guest.open(.watch(path: [0x2F], recursive: false))
        try guest.until("the watch") { _ in watch.replies == [.ok] }
        guest.send(Frame(.credit, stream: watch.id, payload: [1]))
        #expect { try guest.finish(watch) } throws: { ($0 as? WireStatus)?.code == .invalid }
        var deaf = TestGuest.shell("sleep 5")
        deaf.input = .pipe
        // The end of a request that is too long is no request of its own.
        let parts = Frame.maximumMessage / Frame.maximumPayload + 1
        for _ in 0..<parts {
            guest.send(
                Frame(.open, stream: 2001, flags: .more, payload: [UInt8](repeating: 0, count: Frame.maximumPayload)))
        }
        guest.send(Frame(.open, stream: 2001, payload: Request.shutdown(graceMilliseconds: 0).encoded()))
        let greedy = guest.open(.processStart(deaf))
        for _ in 0..<8 { guest.send(Frame(.data, stream: greedy.id, payload: [UInt8](repeating: 1, count: 65536))) }
        #expect { try guest.finish(greedy) } throws: { ($0 as? WireStatus)?.code == .invalid }
        #expect(try guest.run("echo alive").text == "alive\n")
    }
}

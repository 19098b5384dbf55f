import CLinux
import Glibc
import Testing
import Wire

/// The built init as PID 1 of its own namespaces, and a small synchronous client of it.
final class TestGuest {
    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    final class Stream {
        let id: UInt32
        var replies: [Reply] = []
        var output: [UInt8] = []
        var errors: [UInt8] = []
        var ended = false
        var status: WireStatus?
        var window = Frame.initialWindow
        var creditsByItself = true
        fileprivate var parts: [UInt8] = []
        init(id: UInt32) { self.id = id }

        var text: String { String(decoding: output, as: UTF8.self) }
        var exit: ProcessExit? { replies.compactMap { if case .exited(let exit) = $0 { exit } else { nil } }.last }
        var process: Wire.ProcessInfo? {
            for reply in replies {
                if case .started(let info) = reply { return info }
                if case .attached(let info, _) = reply { return info }
            }
            return nil
        }
    }

    private let socket: Int32
    private let pid: pid_t
    private var decoder = FrameDecoder(role: .guest)
    private var encoder = FrameEncoder()
    private var streams: [UInt32: Stream] = [:]
    private var nextStream: UInt32 = 1
    private(set) var hello: Hello?
    private(set) var offered: [(name: String, stream: Stream)] = []
    private var lastNonce: UInt8 = 0

    static func binary() throws -> String {
        let path = getenv("NIGHTJAR_INIT").map { String(cString: $0) } ?? ".build-guest/release/nightjar-init"
        guard access(path, X_OK) == 0 else {
            throw Failure("\(path) is not there: build the guest first, or name it in NIGHTJAR_INIT")
        }
        return path
    }

    init() throws {
        guard getuid() == 0 else { throw Failure("this test starts an init and needs root") }
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure("socketpair: \(errno)")
        }
        socket = ends[0]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        let arguments =
            ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--net", "--ipc", "--kill-child", "--"]
            + [try TestGuest.binary()]
        var pointers = arguments.map { strdup($0) } + [nil]
        var started: pid_t = 0
        let result = posix_spawnp(&started, "unshare", &actions, nil, &pointers, environ)
        for pointer in pointers { free(pointer) }
        posix_spawn_file_actions_destroy(&actions)
        Glibc.close(ends[1])
        pid = started
        guard result == 0 else { throw Failure("unshare: \(result)") }
        try beginSession()
    }

    deinit {
        Glibc.close(socket)
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    /// Waits for the init to exit by itself and returns its code.
    func exitCode() throws -> Int32 {
        let deadline = now() + 10_000
        while now() < deadline {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid { return nj_exit_code(status) }
            usleep(2000)
        }
        throw Failure("the init did not exit")
    }

    func hangUp() { shutdown(socket, Int32(SHUT_RDWR)) }

    private func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: Frames

    func beginSession() throws {
        lastNonce += 1
        let nonce = [UInt8](repeating: lastNonce, count: Resync.nonceSize)
        decoder = FrameDecoder(role: .host(nonce: nonce))
        encoder = FrameEncoder()
        streams = [:]
        hello = nil
        nextStream = 1
        write(Resync.opening(nonce: nonce))
        try until("a hello") { $0.hello != nil }
    }

    func write(_ bytes: [UInt8]) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.send(socket, bytes.baseAddress.map { $0 + written }, bytes.count - written, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            written += count
        }
    }

    func send(_ frame: Frame) {
        var bytes: [UInt8] = []
        encoder.encode(frame, into: &bytes)
        write(bytes)
    }

    func open(_ request: Request) -> Stream {
        let stream = Stream(id: nextStream)
        nextStream += 2
        streams[stream.id] = stream
        var payload = request.encoded()[...]
        while payload.count > Frame.maximumPayload {
            send(Frame(.open, stream: stream.id, flags: .more, payload: Array(payload.prefix(Frame.maximumPayload))))
            payload = payload.dropFirst(Frame.maximumPayload)
        }
        send(Frame(.open, stream: stream.id, payload: Array(payload)))
        return stream
    }

    func until(_ what: String, seconds: Int64 = 15, _ condition: (TestGuest) throws -> Bool) throws {
        let deadline = now() + seconds * 1000
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        while try !condition(self) {
            var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let left = deadline - now()
            guard left > 0 else { throw Failure("timed out waiting for \(what)") }
            guard poll(&descriptor, 1, Int32(min(left, 50))) > 0 else { continue }
            let count = read(socket, &buffer, buffer.count)
            guard count > 0 else { throw Failure("the init closed the channel while waiting for \(what)") }
            for event in decoder.push(buffer[0..<count]) { try take(event) }
        }
    }

    private func take(_ event: FrameDecoder.Event) throws {
        guard case .frame(let frame) = event else {
            if case .broken(let error) = event { throw Failure("the init broke the protocol: \(error)") }
            return
        }
        if frame.stream == 0 {
            if frame.kind == .message, case .hello(let hello) = try Reply(decoding: frame.payload) {
                self.hello = hello
            }
            return
        }
        if frame.kind == .open, case .serviceConnect(let name) = try Request(decoding: frame.payload) {
            let stream = Stream(id: frame.stream)
            streams[stream.id] = stream
            offered.append((name, stream))
            return
        }
        guard let stream = streams[frame.stream] else { return }
        switch frame.kind {
        case .data:
            if frame.flags.contains(.stderr) { stream.errors += frame.payload } else { stream.output += frame.payload }
            if frame.flags.contains(.end) { stream.ended = true }
            if stream.creditsByItself { credit(frame.payload.count, stream) }
        case .credit:
            var reader = WireReader(frame.payload)
            stream.window += Int(try reader.u32())
        case .message:
            stream.parts += frame.payload
            if frame.flags.contains(.more) { return }
            stream.replies.append(try Reply(decoding: stream.parts))
            stream.parts = []
            if frame.flags.contains(.final) { stream.status = .ok }
        case .close: stream.status = try WireStatus(decoding: frame.payload)
        default: throw Failure("an unexpected frame: \(frame.kind)")
        }
    }

    func credit(_ count: Int, _ stream: Stream) {
        guard count > 0 else { return }
        var writer = WireWriter()
        writer.u32(UInt32(count))
        send(Frame(.credit, stream: stream.id, payload: writer.bytes))
    }

    // MARK: Requests

    /// Waits for the end of the stream; an error status is thrown.
    @discardableResult
    func finish(_ stream: Stream, seconds: Int64 = 15) throws -> Stream {
        try until("the end of stream \(stream.id)", seconds: seconds) { _ in stream.status != nil }
        if let status = stream.status, status.code != .ok { throw status }
        return stream
    }

    @discardableResult
    func ask(_ request: Request) throws -> Reply {
        let stream = try finish(open(request))
        guard let reply = stream.replies.last else { throw Failure("no reply") }
        return reply
    }

    func give(_ bytes: [UInt8], to stream: Stream, end: Bool = true) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            try until("credit") { _ in stream.window > 0 || stream.status != nil }
            if stream.status != nil { return }
            let part = rest.prefix(min(stream.window, Frame.maximumPayload))
            stream.window -= part.count
            send(Frame(.data, stream: stream.id, payload: Array(part)))
            rest = rest.dropFirst(part.count)
        }
        if end { send(Frame(.data, stream: stream.id, flags: .end)) }
    }

    static func shell(_ script: String) -> ProcessStart {
        var start = ProcessStart(arguments: ["sh", "-c", script])
        start.environment = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        return start
    }

    func start(_ start: ProcessStart) throws -> Stream {
        let stream = open(.processStart(start))
        try until("the start") { _ in stream.process != nil || stream.status != nil }
        if let status = stream.status, status.code != .ok { throw status }
        return stream
    }

    func run(_ script: String) throws -> Stream { try finish(try start(TestGuest.shell(script))) }
}

/// A directory of its own, removed at the end.
final class TemporaryDirectory {
    let path: String
    init() throws {
        var template = Array("/tmp/guest-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestGuest.Failure("mkdtemp: \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit {
        var pointers = (["rm", "-rf", path] as [String]).map { strdup($0) } + [nil]
        var pid: pid_t = 0
        if posix_spawnp(&pid, "rm", nil, nil, &pointers, environ) == 0 { waitpid(pid, nil, 0) }
        for pointer in pointers { free(pointer) }
    }
    func bytes(_ name: String = "") -> [UInt8] { Array((name.isEmpty ? path : path + "/" + name).utf8) }
}

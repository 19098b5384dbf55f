internal import Client
internal import Dispatch
internal import Glibc
internal import SandboxModel

/// Sends one request again and again on many connections, the next one on each as soon as the answer is there.
///
/// One thread with `poll`, nothing allocated per request: it shares the machine with the server that it measures.
struct LoadGenerator: Sendable {
    let endpoint: ClientConfiguration.Endpoint
    /// The whole request, the answer to which has a `Content-Length`.
    let request: [UInt8]
    let connections: Int

    struct Outcome: Sendable {
        /// Of each request.
        var latencies = Samples()
        /// Requests answered in each whole second.
        var rates = Samples()
    }

    init(_ configuration: ClientConfiguration, path: String, connections: Int) {
        endpoint = configuration.endpoint
        var head = "GET \(path) HTTP/1.1\r\nHost: localhost\r\n"
        if let key = configuration.apiKey { head += "Authorization: Bearer \(key)\r\n" }
        request = Array((head + "\r\n").utf8)
        self.connections = connections
    }

    /// Runs for `warmUp` seconds that do not count and `seconds` that do.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` if a connection fails or an answer is anything but 200.
    func run(warmUp: Int, seconds: Int) async throws -> Outcome {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "nightjar.bench.load").async {
                continuation.resume(with: Result { try loop(warmUp: warmUp, seconds: seconds) })
            }
        }
    }

    // MARK: The loop

    private struct Connection {
        var descriptor: Int32
        var sent: UInt64 = 0
        /// Bytes of the answer that are here.
        var buffer: [UInt8] = []
    }

    private func loop(warmUp: Int, seconds: Int) throws -> Outcome {
        var links: [Connection] = []
        defer { for link in links { close(link.descriptor) } }
        for _ in 0..<connections { links.append(Connection(descriptor: try connect())) }
        var polls = links.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        var outcome = Outcome()
        var rates = [Int](repeating: 0, count: seconds)
        let start = now() + UInt64(warmUp) * 1_000_000_000
        for index in links.indices { try send(&links[index]) }
        while true {
            let count = poll(&polls, nfds_t(polls.count), 5000)
            let moment = now()
            guard moment < start + UInt64(seconds) * 1_000_000_000 else { break }
            guard count > 0 || errno == EINTR else { throw failure("poll") }
            for index in links.indices where polls[index].revents != 0 {
                guard try receive(&links[index]) else { continue }
                if moment >= start {
                    outcome.latencies.add(Double(now() - links[index].sent) / 1e6)
                    rates[Int((moment - start) / 1_000_000_000)] += 1
                }
                try send(&links[index])
            }
        }
        for rate in rates { outcome.rates.add(Double(rate)) }
        return outcome
    }

    private func send(_ link: inout Connection) throws {
        link.sent = now()
        let written = request.withUnsafeBytes {
            Glibc.send(link.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard written == request.count else { throw failure("send") }
    }

    /// - Returns: Whether the answer is whole.
    private func receive(_ link: inout Connection) throws -> Bool {
        let count = withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { chunk in
            let count = recv(link.descriptor, chunk.baseAddress, chunk.count, 0)
            if count > 0 { link.buffer.append(contentsOf: chunk.prefix(count)) }
            return count
        }
        guard count > 0 else { throw failure("receive") }
        guard let total = try Self.length(of: link.buffer), link.buffer.count >= total else { return false }
        link.buffer.removeAll(keepingCapacity: true)
        return true
    }

    /// - Returns: Bytes of the whole answer; `nil` as long as its head is not here.
    private static func length(of answer: [UInt8]) throws -> Int? {
        try answer.withUnsafeBytes { bytes in
            guard let end = find("\r\n\r\n", in: bytes) else { return nil }
            let head = UnsafeRawBufferPointer(rebasing: bytes[..<end])
            guard head.starts(with: Array("HTTP/1.1 200".utf8)) else {
                let line = String(decoding: head.prefix { $0 != 13 }, as: UTF8.self)
                throw SandboxError(.unavailable, "The server answered \(line).")
            }
            guard let field = find("content-length: ", in: head) ?? find("Content-Length: ", in: head) else {
                throw SandboxError(.unavailable, "The server's answer has no length.")
            }
            let digits = head[(field + 16)...].prefix { (0x30...0x39).contains($0) }
            return end + 4 + digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
    }

    private static func find(_ text: StaticString, in bytes: UnsafeRawBufferPointer) -> Int? {
        let (mark, length) = (text.utf8Start, text.utf8CodeUnitCount)
        guard bytes.count >= length, let base = bytes.baseAddress else { return nil }
        var position = 0
        while let found = memchr(base + position, Int32(mark.pointee), bytes.count - length + 1 - position) {
            if memcmp(found, mark, length) == 0 { return UnsafeRawPointer(found) - base }
            position = UnsafeRawPointer(found) - base + 1
        }
        return nil
    }

    // MARK: Sockets

    private func connect() throws -> Int32 {
        switch endpoint {
        case .unixSocket(let path): return try connectUnix(path)
        case .tcp(let host, let port): return try connectTCP(host, port)
        }
    }

    private func connectUnix(_ path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(107)) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
        }
        guard result == 0 else { throw failure("connect") }
        return descriptor
    }

    private func connectTCP(_ host: String, _ port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address.sin_addr) == 1 else {
            throw SandboxError(.invalidRequest, "The load needs an IPv4 address.", hint: "use http://127.0.0.1:PORT")
        }
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
        }
        guard result == 0 else { throw failure("connect") }
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private func failure(_ what: String) -> SandboxError {
        SandboxError(.unavailable, "The load could not go on: \(what): \(String(cString: strerror(errno))).")
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

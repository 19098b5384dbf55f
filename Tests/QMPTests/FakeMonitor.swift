import LinuxSystem
import QMP
import SandboxModel
import Testing

/// The other side of a connection, which says what a test wants.
actor FakeMonitor {
    static let greeting =
        #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "p"}, "capabilities": []}}"#

    struct Closed: Error {}

    private let socket: UnixSocket
    private var buffer: [UInt8] = []

    init(_ socket: UnixSocket) { self.socket = socket }

    /// A client that has been greeted, and its peer.
    static func connected() async throws -> (client: QMPClient, peer: FakeMonitor) {
        let (left, right) = try FileDescriptor.socketPair()
        let peer = FakeMonitor(try UnixSocket(right))
        async let client = QMPClient.open(try UnixSocket(left), until: .soon)
        try await peer.say(greeting)
        try await peer.answer(#""return": {}"#)
        return (try await client, peer)
    }

    func say(_ text: String, end: String = "\r\n") async throws {
        try await socket.send(Array((text + end).utf8), until: .soon)
    }

    func end() { socket.close() }

    /// The next command, whole.
    func command() async throws -> String {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffer.removeFirst(end + 1) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            let bytes = try await socket.receive(until: .soon).bytes
            if bytes.isEmpty { throw Closed() }
            buffer += bytes
        }
    }

    /// Takes the next command, and answers with a member and its identifier.
    @discardableResult
    func answer(_ member: String) async throws -> String {
        let command = try await command()
        try await say("{\(member), \"id\": \(try Self.id(of: command))}")
        return command
    }

    static func id(of command: String) throws -> Int {
        // Arguments may have a member of that name too, and come before it.
        let digits = try #require(command.ranges(of: #""id":"#).last).upperBound
        return try #require(Int(command[digits...].prefix { $0.isNumber }))
    }
}

extension ContinuousClock.Instant {
    /// Far enough for whatever has to come.
    static var soon: Self { .now + .seconds(120) }
}

/// The error that a call ends with; `nil` if it succeeds.
func failure<Value: Sendable>(_ body: @Sendable () async throws -> Value) async -> SandboxError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? SandboxError ?? SandboxError(.internalError, "another error", cause: error)
    }
}

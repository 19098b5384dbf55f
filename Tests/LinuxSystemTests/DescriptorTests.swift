import Foundation
import SandboxModel
import Synchronization
import Testing

@testable import LinuxSystem

/// A directory that goes away with its object.
final class Scratch: Sendable {
    let path = "/tmp/njl-\(randomToken(8))"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? TreeRemoval.remove(path) }
}

@Suite struct DescriptorTests {
    @Test func `descriptors travel over a socket and arrive as the same file`() async throws {
        let scratch = try Scratch()
        let (left, right) = try FileDescriptor.socketPair()
        let file = try FileDescriptor.open(scratch.path + "/f", O_RDWR | O_CREAT, mode: 0o600)
        let sender = try UnixSocket(left)
        let receiver = try UnixSocket(right)
        try await sender.send(Array("take".utf8), descriptors: [file, left])
        let (bytes, descriptors) = try await receiver.receive(until: .now + .seconds(5))
        #expect(bytes == Array("take".utf8) && descriptors.count == 2)
        try descriptors[0].writeAll(Array("through".utf8))
        #expect(try TextFile.read(scratch.path + "/f") == "through")
        #expect(descriptors.allSatisfy { fcntl($0.raw, F_GETFD) == FD_CLOEXEC })
    }

    @Test func `a descriptor is closed with its owner and not after it was taken`() throws {
        var owner: FileDescriptor? = try FileDescriptor.open("/dev/null", O_RDONLY)
        let raw = try #require(owner?.raw)
        owner = nil
        #expect(fcntl(raw, F_GETFD) == -1)
        owner = try FileDescriptor.open("/dev/null", O_RDONLY)
        let taken = try #require(owner?.take())
        owner = nil
        #expect(fcntl(taken, F_GETFD) >= 0)
        close(taken)
    }

    @Test func `a listener is for its owner alone and accepts`() async throws {
        let scratch = try Scratch()
        let path = scratch.path + "/s"
        let listener = try UnixSocket.listen(path)
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        async let accepted = UnixSocket.accept(listener, until: .now + .seconds(5))
        let client = try UnixSocket.connect(path)
        try await client.send([1, 2, 3])
        #expect(try await accepted.receive(until: .now + .seconds(5)).bytes == [1, 2, 3])
        #expect(throws: SystemError.self) { try UnixSocket.connect(scratch.path + "/none") }
        #expect(throws: SystemError.self) { try UnixSocket.connect(String(repeating: "x", count: 200)) }
    }

    @Test func `a wait ends at its deadline, on cancellation and when the other side goes`() async throws {
        let (left, right) = try FileDescriptor.socketPair()
        let socket = try UnixSocket(left)
        let start = ContinuousClock.now
        let late = await #expect(throws: SandboxError.self) {
            try await socket.receive(until: .now + .milliseconds(80))
        }
        #expect(late?.code == .deadlineExceeded && start.duration(to: .now) >= .milliseconds(80))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let error = await #expect(throws: SandboxError.self) { try await socket.receive() }
                #expect(error?.code == .cancelled)
            }
            try await Task.sleep(for: .milliseconds(20))
            group.cancelAll()
            try await group.waitForAll()
        }
        async let last = socket.receive(until: .now + .seconds(5))
        right.close()
        #expect(try await last.bytes == [])
    }

    @Test func `many waits share the thread and end in the order of their deadlines`() async throws {
        let ends = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in [5, 1, 4, 2, 3] {
                group.addTask {
                    await Reactor.shared.shieldedSleep(.milliseconds(60 * index))
                    return index
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ends == [1, 2, 3, 4, 5])
    }

    @Test func `blocking work runs beside each other and returns its errors`() async throws {
        let pool = BlockingPool(threads: 3)
        let inside = Inside()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 { group.addTask { _ = try await pool.run { inside.visit(until: 3) } } }
            try await group.waitForAll()
        }
        #expect(inside.most == 3)
        await #expect(throws: SystemError.self) { try await pool.run { throw SystemError(EIO, "test") } }
    }
}

/// Counts who is somewhere at once.
private final class Inside: Sendable {
    private let count = Mutex((now: 0, most: 0))
    var most: Int { count.withLock { $0.most } }

    /// Leaves only when so many were here at once, or after ten seconds.
    func visit(until wanted: Int) {
        count.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
        for _ in 0..<10_000 where most < wanted { usleep(1000) }
        count.withLock { $0.now -= 1 }
    }
}

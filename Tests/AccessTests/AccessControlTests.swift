import Foundation
import SandboxModel
import Store
import StoreSQLite
import Synchronization
import Testing

@testable import Access

/// The clock by which keys expire.
private final class Clock: Sendable {
    private let seconds = Mutex<Int64>(1_000)
    func advance(_ by: Int64) { seconds.withLock { $0 += by } }
    var now: Timestamp { Timestamp(unixNanoseconds: seconds.withLock { $0 } * 1_000_000_000) }
}

@Suite(.timeLimit(.minutes(5)))
struct AccessControlTests {
    private final class Scratch: Sendable {
        let path = NSTemporaryDirectory() + "nightjar-access-\(randomToken(10)).sqlite"
        deinit {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
    }

    private let scratch = Scratch()
    private let clock = Clock()

    private func open(
        fileKey: String? = "nj_file", limits: AccessLimits = .init()
    ) async throws -> (AccessControl, SQLiteStore) {
        let store = try SQLiteStore(path: scratch.path)
        return (try await AccessControl(store: store, fileKey: fileKey, limits: limits) { clock.now }, store)
    }

    private func token(_ key: KeyResource) throws -> [UInt8] { Array(try #require(key.secret).utf8) }

    private func code(_ body: () throws -> Void) -> SandboxError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? SandboxError)?.code
        }
    }

    @Test func `a key is good until it is revoked, after a restart too`() async throws {
        var (access, store) = try await open()
        let key = try await access.create(KeyRequest(scopes: [.write], label: "ci"))
        let secret = try token(key)
        #expect(try #require(key.secret).hasPrefix("nj_") && key.id.hasPrefix("key_"))
        let principal = try access.authenticate(secret, from: "a")
        #expect(principal.kind == .key(key.id) && principal.label == "ci")
        #expect(principal.may(.write) && principal.may(.read) && !principal.may(.admin))
        try store.close()

        (access, store) = try await open()
        #expect(try access.authenticate(secret, from: "a").kind == .key(key.id))
        #expect(access.keys().contains { $0.id == key.id && $0.secret == nil })
        try await access.revoke(key.id)
        #expect(code { _ = try access.authenticate(secret, from: "a") } == .unauthorized)
        await #expect(throws: SandboxError.self) { try await access.revoke(key.id) }
        try store.close()

        (access, store) = try await open()
        #expect(code { _ = try access.authenticate(secret, from: "a") } == .unauthorized)
        try store.close()
    }

    @Test func `the database holds no secret`() async throws {
        let (access, store) = try await open(fileKey: "nj_a_very_secret_file_key")
        let key = try await access.create(KeyRequest(scopes: [.admin]))
        let secret = try #require(key.secret?.split(separator: "_").last)
        try store.close()
        for suffix in ["", "-wal"] {
            guard let bytes = FileManager.default.contents(atPath: scratch.path + suffix) else { continue }
            #expect(bytes.range(of: Data(secret.utf8)) == nil)
            #expect(bytes.range(of: Data("a_very_secret".utf8)) == nil)
        }
    }

    @Test func `a key expires`() async throws {
        let (access, store) = try await open()
        let secret = try token(try await access.create(KeyRequest(scopes: [.read], expiresIn: 60)))
        clock.advance(59)
        _ = try access.authenticate(secret, from: "a")
        clock.advance(1)
        #expect(code { _ = try access.authenticate(secret, from: "a") } == .unauthorized)
        try store.close()
    }

    @Test func `the key file's key follows the file and cannot be revoked`() async throws {
        var (access, store) = try await open(fileKey: "nj_one")
        #expect(try access.authenticate(Array("nj_one".utf8), from: "a").may(.admin))
        #expect(try access.authenticate(Array("nj_one".utf8), from: "a").kind == .key(AccessControl.fileKeyID))
        await #expect(throws: SandboxError.self) { try await access.revoke(AccessControl.fileKeyID) }
        try store.close()
        (access, store) = try await open(fileKey: "nj_two")
        #expect(code { _ = try access.authenticate(Array("nj_one".utf8), from: "a") } == .unauthorized)
        #expect(try access.authenticate(Array("nj_two".utf8), from: "a").may(.admin))
        try store.close()
        (access, store) = try await open(fileKey: nil)
        #expect(code { _ = try access.authenticate(Array("nj_two".utf8), from: "a") } == .unauthorized)
        #expect(access.keys().isEmpty)
        try store.close()
    }

    @Test func `whatever is not a key is refused`() async throws {
        let (access, store) = try await open()
        let key = try #require(try await access.create(KeyRequest(scopes: [.admin])).secret)
        var wrong = [
            nil, Array("nj_".utf8), Array(key.dropLast().utf8), Array((key + "a").utf8), Array(key.uppercased().utf8),
        ]
        // One bit of any character, in the identifier and in the secret.
        for index in key.utf8.indices {
            var bytes = Array(key.utf8)
            bytes[key.utf8.distance(from: key.utf8.startIndex, to: index)] ^= 1
            wrong.append(bytes)
        }
        for candidate in wrong {
            let code = code { _ = try access.authenticate(candidate, from: randomToken(8)) }
            #expect(code == .unauthorized)
        }
        for header in ["Bearer", "Bearer ", "Basic abc", "bearer", "", "Bearer a b", "Bearer \u{e9}", "Bearer a\u{7f}"]
        {
            #expect(BearerToken.parse(header) == nil, "\(header)")
        }
        #expect(BearerToken.parse("Bearer " + String(repeating: "a", count: 257)) == nil)
        #expect(BearerToken.parse("bEARER  abc") == Array("abc".utf8))
        try store.close()
    }

    @Test func `failures are bounded by address, and never lock out who has a key`() async throws {
        let (access, store) = try await open()
        let wrong = Array("nj_wrong".utf8)
        let codes = (0..<100).map { _ in code { _ = try access.authenticate(wrong, from: "evil") } }
        #expect(codes.prefix(20).allSatisfy { $0 == .unauthorized })
        #expect(codes.suffix(50).allSatisfy { $0 == .rateLimited })
        #expect(code { _ = try access.authenticate(wrong, from: "other") } == .unauthorized)
        _ = try access.authenticate(Array("nj_file".utf8), from: "evil")
        // Many addresses take bounded memory.
        for index in 0..<20_000 { _ = code { _ = try access.authenticate(wrong, from: "\(index)") } }
        try store.close()
    }

    @Test func `a key has a rate, and bounds of what it does at a time`() async throws {
        var limits = AccessLimits()
        (limits.requestsPerSecond, limits.burst) = (1, 10)
        (limits.concurrentRequests, limits.concurrentStreams) = (3, 2)
        let (access, store) = try await open(limits: limits)
        let one = try access.authenticate(try token(try await access.create(KeyRequest(scopes: [.read]))), from: "a")
        let two = try access.authenticate(try token(try await access.create(KeyRequest(scopes: [.read]))), from: "a")
        var leases = try (0..<3).map { _ in try access.admit(one) }
        #expect(code { _ = try access.admit(one) } == .rateLimited)
        leases = []
        #expect(leases.isEmpty)
        var admitted = 0
        while code({ _ = try access.admit(one) }) == nil, admitted < 100 { admitted += 1 }
        #expect((5...8).contains(admitted), "what was left of the burst, and perhaps a second's worth")
        _ = try access.admit(two)
        var streams = try (0..<2).map { _ in try access.openStream(one) {} }
        #expect(code { _ = try access.openStream(one) {} } == .rateLimited)
        streams.removeLast()
        _ = try access.openStream(one) {}
        let file = try access.authenticate(Array("nj_file".utf8), from: "a")
        for _ in 0..<1000 {
            let lease = try access.admit(file)
            #expect(lease == nil)
        }
        try store.close()
    }

    @Test func `revoking a key ends its streams`() async throws {
        let (access, store) = try await open()
        let key = try await access.create(KeyRequest(scopes: [.read]))
        let principal = try access.authenticate(try token(key), from: "a")
        let ended = Mutex(0)
        let lease = try access.openStream(principal) { ended.withLock { $0 += 1 } }
        try await access.revoke(key.id)
        #expect(ended.withLock { $0 } == 1)
        #expect(code { _ = try access.openStream(principal) {} } == .unauthorized)
        #expect(code { _ = try access.admit(principal) } == .unauthorized)
        withExtendedLifetime(lease) {}
        try store.close()
    }

    @Test func `the end of a key's life ends its streams, and no others`() async throws {
        let (access, store) = try await open()
        let short = try await access.create(KeyRequest(scopes: [.read], expiresIn: 10))
        let long = try await access.create(KeyRequest(scopes: [.read], expiresIn: 100))
        let ended = Mutex<[String]>([])
        let leases = try [short, long].map { key in
            try access.openStream(access.authenticate(token(key), from: "a")) { ended.withLock { $0.append(key.id) } }
        }
        access.endExpired()
        #expect(ended.withLock { $0 } == [])
        clock.advance(10)
        access.endExpired()
        access.endExpired()
        #expect(ended.withLock { $0 } == [short.id])
        withExtendedLifetime(leases) {}
        try store.close()
    }

    @Test func `a request for a key is held to its bounds`() async throws {
        let (access, store) = try await open()
        let wrong = [
            KeyRequest(scopes: []), KeyRequest(scopes: [.read, .read]), KeyRequest(scopes: [.read], label: ""),
            KeyRequest(scopes: [.read], label: "a\nb"),
            KeyRequest(scopes: [.read], label: String(repeating: "x", count: 129)),
            KeyRequest(scopes: [.read], expiresIn: 0), KeyRequest(scopes: [.read], expiresIn: .infinity),
            KeyRequest(scopes: [.read], expiresIn: .nan), KeyRequest(scopes: [.read], expiresIn: 1e12),
        ]
        for request in wrong { await #expect(throws: SandboxError.self) { _ = try await access.create(request) } }
        try store.close()
    }
}

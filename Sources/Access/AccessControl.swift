public import SandboxModel
public import Store
internal import Synchronization

/// What one key may do at a time. The key of the key file and the Unix socket are not bound: both are root's.
public struct AccessLimits: Sendable, Hashable {
    /// Requests a second on average, at least 1.
    public var requestsPerSecond = 1000.0
    /// Requests at once after a pause.
    public var burst = 2000
    /// Requests that are being answered.
    public var concurrentRequests = 512
    /// Open event streams and WebSockets.
    public var concurrentStreams = 128
    public init() {}
}

/// Who may do what: the API's keys, their scopes and their rates.
///
/// All keys are in memory, so that a request is checked without the database. One server has the data directory to
/// itself, so memory and database cannot disagree.
public final class AccessControl: Sendable {
    /// The key of the key file: its id.
    public static let fileKeyID = "key_file"
    /// Keys that may exist at a time.
    public static let mostKeys = 1000

    private struct Holder {
        var record: KeyRecord
        var bucket: TokenBucket
        var requests = 0
        var streams: [Int: @Sendable () -> Void] = [:]
    }

    private struct State {
        var holders: [String: Holder] = [:]
        var failures = FailureLimiter()
        var nextStream = 0
    }

    private let state: Mutex<State>
    private let store: any KeyStore
    private let limits: AccessLimits
    private let now: @Sendable () -> Timestamp

    /// Reads the keys, and sees to it that the key file's key is the one that is in the file.
    ///
    /// - Parameters:
    ///   - store: Where the keys are.
    ///   - fileKey: What the key file holds; `nil`: there is none, and none is good any more.
    ///   - limits: For each key.
    ///   - now: The time by which keys expire.
    /// - Throws: ``SandboxError`` with `store_failed`.
    public init(
        store: any KeyStore, fileKey: String?, limits: AccessLimits = .init(), now: @escaping @Sendable () -> Timestamp
    ) async throws {
        self.store = store
        self.limits = limits
        self.now = now
        var records = try await store.keys()
        records = try await Self.adopt(fileKey, records, store, now())
        var state = State()
        for record in records { state.holders[record.id] = Self.holder(record, limits) }
        self.state = Mutex(state)
    }

    private static func adopt(
        _ fileKey: String?, _ records: [KeyRecord], _ store: any KeyStore, _ now: Timestamp
    ) async throws -> [KeyRecord] {
        let others = records.filter { $0.id != fileKeyID }
        let known = records.first { $0.id == fileKeyID }
        guard let fileKey else {
            if known != nil { _ = try await store.removeKey(fileKeyID) }
            return others
        }
        let digest = KeyText.digest(Array(fileKey.utf8))
        if let known, known.digest == digest { return records }
        let record = KeyRecord(
            id: fileKeyID, label: "the key file", scopes: [.admin], digest: digest, createdAt: now, expiresAt: nil)
        try await store.put(record)
        return others + [record]
    }

    private static func holder(_ record: KeyRecord, _ limits: AccessLimits) -> Holder {
        Holder(
            record: record,
            bucket: TokenBucket(
                perSecond: max(1, limits.requestsPerSecond), burst: Double(max(1, limits.burst)),
                now: ContinuousClock.now))
    }

    // MARK: Requests

    /// Finds the principal behind a token.
    ///
    /// - Parameters:
    ///   - token: What was shown; `nil`: nothing usable.
    ///   - address: The peer's address without its port, by which failures are counted.
    /// - Throws: ``SandboxError`` with `unauthorized`, or `rate_limited` after too many failures from there.
    public func authenticate(_ token: [UInt8]?, from address: String) throws(SandboxError) -> Principal {
        guard let token, let record = find(token) else {
            throw refusal(
                address, "A valid API key is required.",
                hint: "send 'Authorization: Bearer KEY'; the server's key file holds a key")
        }
        if let expiresAt = record.expiresAt, expiresAt <= now() {
            throw refusal(address, "The API key has expired.", hint: "have a new one made: nightjar key create")
        }
        return Principal(kind: .key(record.id), label: record.label, scopes: record.covered)
    }

    private func find(_ token: [UInt8]) -> KeyRecord? {
        let digest = KeyText.digest(token)
        let id = KeyText.id(in: token).map { "key_" + $0 }
        let (named, file) = state.withLock { state in
            (id.flatMap { state.holders[$0]?.record }, state.holders[Self.fileKeyID]?.record)
        }
        // An operator may have put any key into the file, one of this form too.
        for record in [named, file] {
            if let record, KeyText.areEqual(record.digest, digest) { return record }
        }
        return nil
    }

    private func refusal(_ address: String, _ message: String, hint: String) -> SandboxError {
        guard state.withLock({ $0.failures.note(address, now: ContinuousClock.now) }) else {
            return SandboxError(
                .rateLimited, "There were too many failed attempts from this address.", hint: "try again in a second")
        }
        return SandboxError(.unauthorized, message, hint: hint)
    }

    /// Counts a request of a key against its limits.
    ///
    /// - Returns: To be kept until the request is answered; `nil`: nothing is counted for this principal.
    /// - Throws: ``SandboxError`` with `rate_limited`, or `unauthorized` if the key was revoked just now.
    public func admit(_ principal: Principal) throws(SandboxError) -> AccessLease? {
        guard let id = Self.boundKey(principal) else { return nil }
        let limits = limits
        let outcome = state.withLock { state -> Result<Void, SandboxError> in
            guard var holder = state.holders[id] else { return .failure(Self.revoked) }
            guard holder.bucket.take(now: ContinuousClock.now) else {
                state.holders[id] = holder
                return .failure(
                    Self.tooMany("requests", "at most \(Int(limits.requestsPerSecond)) a second on average"))
            }
            guard holder.requests < limits.concurrentRequests else {
                state.holders[id] = holder
                return .failure(Self.tooMany("requests at a time", "at most \(limits.concurrentRequests)"))
            }
            holder.requests += 1
            state.holders[id] = holder
            return .success(())
        }
        try outcome.get()
        return AccessLease { [weak self] in
            self?.state.withLock { state in state.holders[id]?.requests -= 1 }
        }
    }

    /// Counts a stream that stays open against the key's limit.
    ///
    /// - Parameters:
    ///   - principal: On whose behalf it is open.
    ///   - end: Ends it; called if the key is revoked, or has expired (see ``run()``), while it is open.
    /// - Returns: To be kept for as long as the stream is open; `nil`: nothing is counted for this principal.
    /// - Throws: ``SandboxError`` with `rate_limited`, or `unauthorized` if the key was revoked just now.
    public func openStream(
        _ principal: Principal, end: @escaping @Sendable () -> Void
    ) throws(SandboxError) -> AccessLease? {
        guard let id = Self.boundKey(principal) else { return nil }
        let limit = limits.concurrentStreams
        let outcome = state.withLock { state -> Result<Int, SandboxError> in
            guard let holder = state.holders[id] else { return .failure(Self.revoked) }
            guard holder.streams.count < limit else {
                return .failure(Self.tooMany("open streams", "at most \(limit)"))
            }
            state.nextStream += 1
            state.holders[id]?.streams[state.nextStream] = end
            return .success(state.nextStream)
        }
        let number = try outcome.get()
        return AccessLease { [weak self] in
            self?.state.withLock { state in _ = state.holders[id]?.streams.removeValue(forKey: number) }
        }
    }

    /// Looks once a second for keys that have expired, and ends their open streams, until the task is cancelled.
    public func run() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            endExpired()
        }
    }

    /// Ends the open streams of keys that have expired. Requests of such a key are refused without it.
    func endExpired() {
        let now = now()
        let ends = state.withLock { state in
            var ends: [@Sendable () -> Void] = []
            for (id, holder) in state.holders where !holder.streams.isEmpty {
                guard let expiresAt = holder.record.expiresAt, expiresAt <= now else { continue }
                ends += holder.streams.values
                // Once is enough; their leases find nothing to remove.
                state.holders[id]?.streams = [:]
            }
            return ends
        }
        for end in ends { end() }
    }

    private static func boundKey(_ principal: Principal) -> String? {
        guard case .key(let id) = principal.kind, id != fileKeyID else { return nil }
        return id
    }

    private static let revoked = SandboxError(.unauthorized, "The API key was revoked.")

    private static func tooMany(_ what: String, _ bound: String) -> SandboxError {
        SandboxError(.rateLimited, "This key has too many \(what).", hint: "\(bound); try again later")
    }

    // MARK: Keys

    /// All keys, oldest first.
    public func keys() -> [KeyResource] {
        state.withLock { $0.holders.values.map(\.record) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }.map { $0.resource() }
    }

    /// Makes a key. It is good when this returns.
    ///
    /// - Returns: The key, with its secret for this once.
    /// - Throws: ``SandboxError`` with `invalid_request`, or `invalid_state` if there are too many.
    public func create(_ request: KeyRequest) async throws -> KeyResource {
        try request.validate()
        guard state.withLock({ $0.holders.count < Self.mostKeys }) else {
            throw SandboxError(
                .invalidState, "There are \(Self.mostKeys) keys.", hint: "remove some: nightjar key rm ID")
        }
        let (id, time) = (randomToken(KeyText.idLength), now())
        let text = KeyText.make(id: id)
        let record = KeyRecord(
            id: "key_" + id, label: request.label, scopes: Set(request.scopes),
            digest: KeyText.digest(Array(text.utf8)),
            createdAt: time, expiresAt: request.expiresIn.map { time.adding(seconds: $0) })
        try await store.put(record)
        state.withLock { $0.holders[record.id] = Self.holder(record, limits) }
        return record.resource(secret: text)
    }

    /// Makes a key useless from now on, and ends its open streams. Requests that are being answered go on.
    ///
    /// - Throws: ``SandboxError`` with `key_not_found`, or `invalid_state` for the key file's.
    public func revoke(_ id: String) async throws {
        guard id != Self.fileKeyID else {
            throw SandboxError(
                .invalidState, "This is the key of the key file.",
                hint: "remove the file and restart the server to get a new one")
        }
        // In memory first: if the store fails, the key is useless all the same until the caller tries again.
        let holder = state.withLock { $0.holders.removeValue(forKey: id) }
        for end in holder.map({ Array($0.streams.values) }) ?? [] { end() }
        let wasStored = try await store.removeKey(id)
        guard holder != nil || wasStored else {
            throw SandboxError(.keyNotFound, "There is no such key.", hint: "nightjar key ls shows them")
        }
    }
}

/// Something that is counted for as long as it exists.
public final class AccessLease: Sendable {
    private let end: @Sendable () -> Void
    init(end: @escaping @Sendable () -> Void) { self.end = end }
    deinit { end() }
}

extension KeyRecord {
    /// All that its scopes cover.
    fileprivate var covered: Set<AccessScope> { scopes.reduce(into: []) { $0.formUnion($1.covered) } }

    fileprivate func resource(secret: String? = nil) -> KeyResource {
        KeyResource(
            id: id, label: label, scopes: scopes.sorted { $0.rawValue < $1.rawValue }, createdAt: createdAt,
            expiresAt: expiresAt, secret: secret)
    }
}

/// So many a second on average, and so many at once.
struct TokenBucket: Sendable {
    private let perSecond: Double
    private let burst: Double
    private var tokens: Double
    private var at: ContinuousClock.Instant

    init(perSecond: Double, burst: Double, now: ContinuousClock.Instant) {
        self.perSecond = perSecond
        self.burst = burst
        tokens = burst
        at = now
    }

    /// Whether there was one to take.
    mutating func take(now: ContinuousClock.Instant) -> Bool {
        refill(now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// Whether nothing would be lost by forgetting it.
    mutating func isFull(now: ContinuousClock.Instant) -> Bool {
        refill(now)
        return tokens >= burst
    }

    private mutating func refill(_ now: ContinuousClock.Instant) {
        guard now > at else { return }
        let elapsed = (now - at) / .seconds(1)
        tokens = min(burst, tokens + elapsed * perSecond)
        at = now
    }
}

/// How often each remote address may fail to authenticate.
///
/// A key that is right is never refused because of others' failures: keys cannot be guessed, so all that the bound has
/// to save is work and log lines.
struct FailureLimiter: Sendable {
    private static let perSecond = 1.0
    private static let burst = 20.0
    private static let mostAddresses = 4096

    private var buckets: [String: TokenBucket] = [:]

    /// Whether one more failure of this address is answered in full.
    mutating func note(_ address: String, now: ContinuousClock.Instant) -> Bool {
        if buckets[address] == nil {
            if buckets.count >= Self.mostAddresses { makeRoom(now) }
            buckets[address] = TokenBucket(perSecond: Self.perSecond, burst: Self.burst, now: now)
        }
        return buckets[address]?.take(now: now) ?? false
    }

    /// Forgets those that would be as new; if there are none, all: better than to grow without bound.
    private mutating func makeRoom(_ now: ContinuousClock.Instant) {
        for (address, bucket) in buckets {
            var bucket = bucket
            if bucket.isFull(now: now) { buckets[address] = nil }
        }
        if buckets.count >= Self.mostAddresses { buckets = [:] }
    }
}

internal import GRDB
internal import Synchronization

/// How long a write waits for another program that has locked the database.
///
/// SQLite's own timeout begins when a write has its turn. Writes that queue up behind one that waits would so add up
/// their waits, and a request that writes on its way and on its way back would wait once for each. Here a write's wait
/// for its turn counts, and once one has waited in vain, those after it look only briefly until one succeeds.
final class LockPatience: Sendable {
    /// Seconds from the moment at which a write is asked for.
    static let limit = Duration.seconds(5)
    /// The same while the database is known to be locked.
    static let brief = Duration.milliseconds(250)

    private struct State {
        var isLocked = false
        /// What the connection was told last, in milliseconds.
        var told: Int64
    }

    private let state: Mutex<State>

    init() { state = Mutex(State(told: Self.milliseconds(Self.limit))) }

    /// Tells the writing connection how long to wait, before its transaction begins.
    func prepare(_ db: Database, askedAt: ContinuousClock.Instant) throws {
        let waited = ContinuousClock.now - askedAt
        let wanted = state.withLock { state in
            // What is usual needs no statement of its own.
            let left = waited < .seconds(1) ? Self.limit : max(.zero, Self.limit - waited)
            return Self.milliseconds(state.isLocked ? min(Self.brief, left) : left)
        }
        guard wanted != state.withLock({ $0.told }) else { return }
        try db.execute(sql: "PRAGMA busy_timeout = \(wanted)")
        state.withLock { $0.told = wanted }
    }

    /// Takes note of how a write ended; `nil`: it was done.
    func note(_ error: (any Error)?) {
        let isLocked = (error as? DatabaseError)?.resultCode == .SQLITE_BUSY
        guard error == nil || isLocked else { return }
        state.withLock { $0.isLocked = isLocked }
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
    }
}

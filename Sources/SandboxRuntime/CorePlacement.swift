internal import SandboxModel

/// Which sandboxes to keep on one core while more of them are in use than the machine has cores. It decides; whoever asks
/// acts.
///
/// A sandbox is many threads that wait for each other. With a control group for each sandbox, the kernel's scheduler gives
/// a group's weight on a core by what the group did there lately: a thread that wakes on the core where its sandbox has
/// done little waits for a long time, and all others of the sandbox with it. On one core the whole weight counts. Work of
/// some weight is left to the scheduler, which then knows better.
struct CorePlacement: Sendable {
    private struct Use: Sendable {
        var count = 0
        /// CPU time when first looked at after it began, in nanoseconds.
        var cpu: UInt64?
        var isHeavy = false
    }

    private struct Place: Sendable {
        var core: Int
        var usedAt: Moment
    }

    /// CPU time of one use, in nanoseconds, from which it is no short command.
    private static var heavy: UInt64 { 100_000_000 }
    /// How many seconds after its last use a sandbox stays where it is: the next command may come at once.
    private static var linger: Double { 0.2 }

    let cores: [Int]
    private var uses: [SandboxID: Use] = [:]
    private var places: [SandboxID: Place] = [:]
    private var turn = 0

    /// - Parameter cores: The cores to place on. With less than two there is nothing to decide.
    init(cores: [Int]) { self.cores = cores }

    /// Whether ``look(now:cpu:)`` has something to do.
    var isActive: Bool { !places.isEmpty }
    /// Sandboxes whose CPU time ``look(now:cpu:)`` wants to know.
    var placed: [SandboxID] { Array(places.keys) }

    /// Somebody begins to use a sandbox.
    ///
    /// - Returns: The core to confine it to; `nil` if it stays as it is.
    mutating func enter(_ id: SandboxID, now: Moment) -> Int? {
        guard cores.count > 1 else { return nil }
        uses[id, default: Use()].count += 1
        if places[id] != nil {
            places[id]?.usedAt = now
            return nil
        }
        guard uses.count > cores.count, uses[id]?.isHeavy == false else { return nil }
        guard let core = next() else { return nil }
        places[id] = Place(core: core, usedAt: now)
        return core
    }

    /// The core on which the fewest are; of several, each in its turn.
    private mutating func next() -> Int? {
        var counts = [Int](repeating: 0, count: cores.count)
        for place in places.values {
            if let index = cores.firstIndex(of: place.core) { counts[index] += 1 }
        }
        turn = (turn + 1) % cores.count
        let order = cores.indices.map { ($0 + turn) % cores.count }
        return order.min { counts[$0] < counts[$1] }.map { cores[$0] }
    }

    /// The use ends.
    mutating func leave(_ id: SandboxID, now: Moment) {
        guard let count = uses[id]?.count else { return }
        if count > 1 { uses[id]?.count = count - 1 } else { uses[id] = nil }
        places[id]?.usedAt = now
    }

    /// Looks at those that are confined.
    ///
    /// - Parameter cpu: CPU time of each that could be read, in nanoseconds.
    /// - Returns: Who may run everywhere again; to be told by ``release(_:)``.
    mutating func look(now: Moment, cpu: [SandboxID: UInt64]) -> [SandboxID] {
        places.compactMap { id, place in
            guard let use = uses[id] else { return now.seconds(since: place.usedAt) >= Self.linger ? id : nil }
            guard let cpu = cpu[id] else { return id }
            let began = min(use.cpu ?? cpu, cpu)
            uses[id]?.cpu = began
            guard cpu - began >= Self.heavy else { return nil }
            uses[id]?.isHeavy = true
            return id
        }
    }

    /// It is about to be let go.
    mutating func release(_ id: SandboxID) { places[id] = nil }
}

internal import SandboxModel

/// Who may begin to run, in which order: a value without time, tasks or locks of its own.
///
/// Every sandbox that has processes holds its limits of the node's budget, from the moment it is let in until it has
/// none. Who does not fit waits in the line of its group; groups take turns, and in a group the first comes first. One
/// that needs much is passed by others that fit, but only so often.
struct AdmissionQueue: Sendable {
    struct Ticket: Sendable {
        var id: UInt64
        var sandbox: SandboxID
        var group: String
        var demand: Demand
        /// Bytes of real memory that it will take soon, as far as one can tell.
        var growth: Int64
        var since: Moment
        var deadline: Moment
        /// How many others were let in before it although it was their turn later.
        var passed = 0
    }

    /// What would let those in whose turn it is.
    struct Shortfall: Sendable, Hashable {
        /// To be given back by others.
        var demand: Demand
        /// Whether the machine's memory is short, whatever is promised.
        var isReal: Bool
    }

    let policy: AdmissionPolicy
    /// By sandbox that has processes, or may have some.
    private(set) var held: [SandboxID: Demand] = [:]
    private(set) var reserved = Demand.none
    /// Let in and not yet done with starting, with their growth.
    private(set) var starting: [SandboxID: Int64] = [:]
    /// Being put to standby to make room.
    private(set) var leaving: [SandboxID: Demand] = [:]
    private var lines: [String: [Ticket]] = [:]
    /// Groups with somebody in line, in the order of their turns.
    private var turns: [String] = []
    private(set) var waiting = 0

    init(policy: AdmissionPolicy) { self.policy = policy }

    // MARK: Holding

    /// A sandbox has processes, whether that fits or not.
    mutating func hold(_ sandbox: SandboxID, _ demand: Demand) {
        release(sandbox)
        held[sandbox] = demand
        reserved = reserved + demand
    }

    /// - Returns: Whether it held something.
    @discardableResult
    mutating func release(_ sandbox: SandboxID) -> Bool {
        guard let demand = held.removeValue(forKey: sandbox) else { return false }
        // Nothing held is exactly nothing, whatever fractions were added and taken away.
        reserved = held.isEmpty ? .none : reserved - demand
        return true
    }

    /// A start is over, however.
    mutating func started(_ sandbox: SandboxID) { starting[sandbox] = nil }

    /// Claims a sandbox that is about to be put to standby to make room.
    mutating func leave(_ sandbox: SandboxID) -> Bool {
        guard leaving[sandbox] == nil, let demand = held[sandbox] else { return false }
        leaving[sandbox] = demand
        return true
    }

    mutating func left(_ sandbox: SandboxID) { leaving[sandbox] = nil }

    // MARK: Waiting

    /// Joins the line.
    ///
    /// - Returns: One who has to give way: the last of the longest line, if the queue is full and the newcomer's line is
    ///   shorter.
    /// - Throws: ``SandboxError`` with `unsupported` if it can never fit, `overloaded` if the queue is full.
    mutating func enter(_ ticket: Ticket) throws(SandboxError) -> Ticket? {
        try check(ticket.demand)
        var displaced: Ticket?
        if waiting >= policy.queueLimit {
            let own = lines[ticket.group]?.count ?? 0
            guard let longest = lines.max(by: { $0.value.count < $1.value.count }), longest.value.count > own + 1,
                let last = longest.value.last
            else { throw SandboxError.queueFull }
            displaced = remove(last.id)
        }
        if lines[ticket.group] == nil { turns.append(ticket.group) }
        lines[ticket.group, default: []].append(ticket)
        waiting += 1
        return displaced
    }

    /// - Throws: ``SandboxError`` with `unsupported` if so much can never be had here.
    func check(_ demand: Demand) throws(SandboxError) {
        let budget = policy.budget
        guard !demand.fits(in: budget) else { return }
        let what =
            demand.memory > budget.memory
            ? "\(demand.memory >> 20) MiB of memory, the node has \(budget.memory >> 20) MiB"
            : demand.cpus > budget.cpus
                ? "\(demand.cpus) cores, the node has \(budget.cpus)" : "a place, the node has none"
        throw SandboxError(
            .unsupported, "The sandbox needs \(what).",
            hint: "create it with smaller limits, or raise the node's capacity (see `nightjar node`)")
    }

    /// Leaves the line.
    mutating func remove(_ id: UInt64) -> Ticket? {
        for (group, line) in lines {
            guard let index = line.firstIndex(where: { $0.id == id }) else { continue }
            return take(group, index)
        }
        return nil
    }

    private mutating func take(_ group: String, _ index: Int) -> Ticket? {
        let ticket = lines[group]?.remove(at: index)
        if lines[group]?.isEmpty == true {
            lines[group] = nil
            turns.removeAll { $0 == group }
        }
        waiting -= 1
        return ticket
    }

    /// Takes out all whose time is over.
    mutating func expired(_ now: Moment) -> [Ticket] {
        let late = lines.values.joined().filter { $0.deadline <= now }
        return late.compactMap { remove($0.id) }
    }

    /// Takes out everybody.
    mutating func clear() -> [Ticket] {
        let all = Array(lines.values.joined())
        lines = [:]
        turns = []
        waiting = 0
        return all
    }

    /// When the one that has waited longest came.
    var oldest: Moment? { lines.values.compactMap { $0.first?.since }.min() }

    // MARK: Letting in

    /// Lets in whom it can.
    ///
    /// - Parameter available: Memory that the machine has left, in bytes.
    mutating func grant(available: Int64?) -> [Ticket] {
        var granted: [Ticket] = []
        while starting.count < policy.parallelStarts, let ticket = next(available) {
            hold(ticket.sandbox, ticket.demand)
            starting[ticket.sandbox] = ticket.growth
            granted.append(ticket)
        }
        return granted
    }

    private mutating func next(_ available: Int64?) -> Ticket? {
        var passed: [String] = []
        for group in turns {
            guard let first = lines[group]?.first else { continue }
            if fits(first, available) {
                for group in passed { lines[group]?[0].passed += 1 }
                // The group's next turn comes after all others'.
                turns.removeAll { $0 == group }
                turns.append(group)
                return take(group, 0)
            }
            // Room is being made for it, or it was passed often enough.
            if !leaving.isEmpty || first.passed >= policy.patience { return nil }
            passed.append(group)
        }
        return nil
    }

    private func fits(_ ticket: Ticket, _ available: Int64?) -> Bool {
        (reserved + ticket.demand).fits(in: policy.budget) && hasMemory(ticket.growth, available)
    }

    /// Whether so many bytes more leave the machine its reserve, once all who are starting have taken theirs.
    private func hasMemory(_ growth: Int64, _ available: Int64?) -> Bool {
        guard let available else { return true }
        return available - starting.values.reduce(0, +) - growth >= policy.memoryReserve
    }

    /// What those lack whose turn it is, as many as could start now.
    ///
    /// - Returns: `nil` if they lack nothing that is not on its way, or all places for starts are taken.
    func shortfall(available: Int64?) -> Shortfall? {
        let places = policy.parallelStarts - starting.count
        guard places > 0, waiting > 0 else { return nil }
        let heads = upcoming(places)
        guard let first = heads.first else { return nil }
        let coming = leaving.values.reduce(Demand.none, +)
        let lacking = { (wanted: Demand) in (self.reserved + wanted - coming - self.policy.budget).clamped }
        let own = lacking(first.demand)
        // Enough for the first is worth it even if it is not for all.
        let demand = own == .none ? lacking(heads.reduce(.none) { $0 + $1.demand }) : own
        let isReal = leaving.isEmpty && !hasMemory(first.growth, available)
        if demand == .none, !isReal { return nil }
        return Shortfall(demand: demand, isReal: isReal)
    }

    /// The next in line, as their turns come.
    private func upcoming(_ count: Int) -> [Ticket] {
        var heads: [Ticket] = []
        for place in 0..<count {
            for group in turns {
                guard let line = lines[group], place < line.count else { continue }
                heads.append(line[place])
                if heads.count == count { return heads }
            }
        }
        return heads
    }
}

extension SandboxError {
    static let queueFull = SandboxError(
        .overloaded, "The node is full, and too many wait for a place already.", hint: "try again later")

    static let noRoom = SandboxError(
        .overloaded, "The node is full: no sandbox became idle in time.",
        hint: "try again later, end sandboxes that are not needed, or wait longer (X-Nightjar-Wait)")

    /// Nobody waits for it any more.
    static let abandoned = SandboxError(.cancelled, "Nobody waited for it any more.", hint: "try again")
}

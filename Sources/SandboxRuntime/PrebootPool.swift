internal import SandboxModel

/// What must be the same for a sandbox that was booted ahead to become the one that is asked for. All else about a
/// sandbox (its name, labels, environment, rules of life) is the server's business and can be given to it afterwards.
struct PrebootKind: Sendable, Hashable {
    var tier: String
    var template: String
    var templateVersion: String
    var initLayer: String
    var limits: ResourceLimits
    /// Decides how its root is mounted.
    var durable: Bool
}

/// Which sandboxes to boot ahead, and which of them are there. It decides; whoever asks acts.
///
/// The pool follows demand: each request for a kind weighs 1, and weights halve every minute. A kind that is asked for
/// gets at least one place, a busy one up to all of them; one that nobody has asked for in ten minutes gets none.
struct PrebootPool<Member: Sendable & Identifiable>: Sendable {
    /// What to do next.
    enum Step: Sendable {
        case boot(PrebootKind)
        /// It is too many, or not wanted any more.
        case drop(Member)
        /// Ask again then, or when something changes.
        case wait
    }

    private struct Demand {
        var weight = 0.0
        var at: Moment
    }

    /// Requests per place, as a weight.
    private static var requestsPerPlace: Double { 8 }
    private static var halfLife: Double { 60 }
    /// After ten half-lives of a single request.
    private static var forgotten: Double { 1.0 / 1024 }
    /// After a failure the pool rests for so long: the next creation finds out by itself what is wrong.
    private static var rest: Double { 10 }
    /// Kinds that are remembered, so that a client with limits of its own for every sandbox costs nothing.
    private static var kinds: Int { 64 }

    /// Members at most, those that are being booted included.
    var maximum: Int
    private var demand: [PrebootKind: Demand] = [:]
    private var ready: [PrebootKind: [Member]] = [:]
    private var booting: [PrebootKind: Int] = [:]
    private var restsUntil: Moment?
    private var isClosed = false

    init(maximum: Int) { self.maximum = maximum }

    /// Members that can be taken.
    var count: Int { ready.values.reduce(0) { $0 + $1.count } }

    /// Notes that somebody asks for this kind.
    mutating func note(_ kind: PrebootKind, now: Moment) {
        if demand[kind] == nil, demand.count >= Self.kinds {
            demand = demand.filter { weight($0.key, now: now) >= 1 }
            guard demand.count < Self.kinds else { return }
        }
        demand[kind] = Demand(weight: weight(kind, now: now) + 1, at: now)
    }

    /// The member that has waited longest; `nil` if there is none.
    mutating func take(_ kind: PrebootKind) -> Member? {
        guard var members = ready[kind], !members.isEmpty else { return nil }
        let member = members.removeFirst()
        ready[kind] = members.isEmpty ? nil : members
        return member
    }

    /// A member that was taken and not used.
    mutating func giveBack(_ member: Member, _ kind: PrebootKind) -> Bool {
        guard !isClosed else { return false }
        ready[kind, default: []].insert(member, at: 0)
        return true
    }

    /// What to do next.
    ///
    /// - Parameters:
    ///   - mayBoot: Whether nobody is waiting for the machine.
    ///   - fits: Whether there is room for one more of a kind.
    mutating func next(now: Moment, mayBoot: Bool, fits: (PrebootKind) -> Bool = { _ in true }) -> Step {
        let wanted = places(now: now)
        for (kind, members) in ready where members.count > wanted[kind, default: 0] {
            guard let member = take(kind) else { continue }
            return .drop(member)
        }
        if let restsUntil, now < restsUntil { return .wait }
        restsUntil = nil
        guard mayBoot, !isClosed else { return .wait }
        let missing = wanted.filter { kind, places in
            places > (ready[kind]?.count ?? 0) + booting[kind, default: 0] && fits(kind)
        }
        guard let kind = missing.keys.max(by: { weight($0, now: now) < weight($1, now: now) }) else { return .wait }
        booting[kind, default: 0] += 1
        return .boot(kind)
    }

    /// A boot ended.
    ///
    /// - Returns: Whether the member was taken in; otherwise it must be removed.
    mutating func booted(_ member: Member?, _ kind: PrebootKind, now: Moment) -> Bool {
        let left = booting[kind, default: 1] - 1
        booting[kind] = left > 0 ? left : nil
        guard let member else {
            restsUntil = now.advanced(by: Self.rest)
            return false
        }
        guard !isClosed else { return false }
        ready[kind, default: []].append(member)
        return true
    }

    /// Takes a certain member out: it has died.
    mutating func remove(_ id: Member.ID) -> Member? {
        for (kind, members) in ready {
            guard let index = members.firstIndex(where: { $0.id == id }) else { continue }
            ready[kind]?.remove(at: index)
            if ready[kind]?.isEmpty == true { ready[kind] = nil }
            return members[index]
        }
        return nil
    }

    /// Takes a member out whose memory is needed elsewhere: of the kind that is asked for least.
    mutating func giveUpOne(now: Moment) -> Member? {
        guard let kind = ready.keys.min(by: { weight($0, now: now) < weight($1, now: now) }) else { return nil }
        restsUntil = now.advanced(by: Self.rest)
        return take(kind)
    }

    /// Takes no more in.
    ///
    /// - Returns: All members, which must be removed.
    mutating func close() -> [Member] {
        isClosed = true
        let members = ready.values.flatMap { $0 }
        ready = [:]
        return members
    }

    // MARK: Demand

    private func weight(_ kind: PrebootKind, now: Moment) -> Double {
        guard let demand = demand[kind] else { return 0 }
        var halvings = max(0, now.seconds(since: demand.at)) / Self.halfLife
        var weight = demand.weight
        while halvings >= 1, weight > 0 {
            weight /= 2
            halvings -= 1
        }
        // Linear in between: near enough, and without the mathematics library.
        return weight * (1 - halvings / 2)
    }

    /// How many members each kind should have, the most wanted first, `maximum` in all.
    private mutating func places(now: Moment) -> [PrebootKind: Int] {
        demand = demand.filter { weight($0.key, now: now) >= Self.forgotten }
        var left = maximum
        var places: [PrebootKind: Int] = [:]
        let ranked = demand.keys.map { ($0, weight($0, now: now)) }.sorted { $0.1 > $1.1 }
        for (kind, weight) in ranked where left > 0 {
            let wanted = min(left, max(1, Int((weight / Self.requestsPerPlace).rounded(.up))))
            places[kind] = wanted
            left -= wanted
        }
        return places
    }
}

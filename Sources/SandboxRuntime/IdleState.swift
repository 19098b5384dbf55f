internal import SandboxModel
internal import Wire

/// What is known of the use of a running sandbox, and the one definition of idle.
///
/// Idle is a sandbox that has no request, no open stream and no running foreground process, that has used less CPU than
/// the threshold on average over the last sample, and that nothing else keeps awake. The time since then is counted from
/// the latest of: the end of the last activity, the last busy sample, the exit of the last foreground process, the start.
struct IdleState: Sendable {
    /// Requests and streams now, by what `awake_because` says of them.
    private(set) var activities: [Activity: Int] = [:]
    private(set) var lastActivityEnd: Moment
    private var lastBusy: Moment
    private var lastForegroundEnd: Moment
    private var sample: (at: Moment, cpu: UInt64)?
    /// Whether a share of CPU was measured since the last activity.
    private var isMeasured = false
    /// Share of a core in the newest sample, if it was above the threshold.
    private(set) var busyShare: Double?
    /// Descriptions of foreground processes that ran when last looked.
    private(set) var foreground: [String] = []
    private var looked: Moment?
    /// Foreground processes whose end was seen.
    private var exited: Set<UInt32> = []
    /// What would make a checkpoint fail, when last tried.
    private(set) var blockers: [String] = []
    private var failure: String?
    private var failures = 0
    /// Not to be decided upon before.
    private var notBefore: Moment
    /// Whether its timers take their time (``Execution/doze()``).
    private(set) var isDozing = false
    /// Not to be let doze before, because something ran when last looked.
    private var noDozeBefore: Moment
    /// Whether somebody is looking at it just now.
    var probing = false

    init(now: Moment) {
        lastActivityEnd = now
        lastBusy = now
        lastForegroundEnd = now
        notBefore = now
        noDozeBefore = now
    }

    /// A fresh start of the clock for a sandbox that runs again; who uses it still does.
    init(now: Moment, keeping former: IdleState) {
        self.init(now: now)
        activities = former.activities
    }

    // MARK: What happens

    /// - Returns: Whether it dozed until now, and must be roused.
    @discardableResult
    mutating func begin(_ activity: Activity) -> Bool {
        activities[activity, default: 0] += 1
        defer { isDozing = false }
        // The CPU of a request is no sign of work that goes on behind it, and it may change what stood in the way.
        sample = nil
        isMeasured = false
        busyShare = nil
        blockers = []
        failure = nil
        failures = 0
        return isDozing
    }

    mutating func end(_ activity: Activity, now: Moment) {
        guard let count = activities[activity] else { return }
        activities[activity] = count > 1 ? count - 1 : nil
        lastActivityEnd = now
        notBefore = now
        noDozeBefore = now
    }

    /// Takes note of the CPU time used since the incarnation began.
    mutating func note(cpu: UInt64, now: Moment, threshold: Double) {
        defer { sample = (now, cpu) }
        guard let sample, now > sample.at, cpu >= sample.cpu else { return }
        let share = Double(cpu - sample.cpu) / 1e9 / now.seconds(since: sample.at)
        isMeasured = true
        busyShare = share >= threshold ? share : nil
        if busyShare != nil { lastBusy = now }
    }

    /// Takes note of the processes inside.
    ///
    /// - Parameter wall: The time of day at `now`, to place exits that the guest reports.
    mutating func note(processes: [ProcessInfo], now: Moment, wall: Timestamp) {
        let before = looked
        looked = now
        let ours = processes.filter { $0.tag == IdleState.foregroundTag }
        let running = ours.filter { $0.exit == nil }
        foreground = running.prefix(IdleState.maximumReasons).map { process in
            "process \(process.id) (\(IdleState.brief(process.arguments))) runs in the foreground"
        }
        let more = running.count - foreground.count
        if more > 0 { foreground.append("\(more) more processes run in the foreground") }
        for case let (id, exit?) in ours.map({ ($0.id, $0.exit) }) where !exited.contains(id) {
            let age = Double(wall.unixNanoseconds &- exit.endedUnixNanoseconds) / 1e9
            // The guest's time of day says more than when it was looked at, as long as no clock jumps.
            let end = max(now.advanced(by: -max(0, age)), before ?? lastForegroundEnd)
            lastForegroundEnd = max(lastForegroundEnd, end)
        }
        exited = Set(ours.filter { $0.exit != nil }.map(\.id))
    }

    /// An idle action did not happen because a checkpoint would fail.
    ///
    /// - Returns: Whether these blockers are new, and so worth an event.
    mutating func postponed(by blockers: [String], until next: Moment) -> Bool {
        notBefore = next
        defer { self.blockers = blockers }
        return self.blockers != blockers
    }

    /// An idle action failed; the wait until the next one doubles each time.
    mutating func failed(_ message: String, now: Moment, retry: Duration) {
        failure = message
        notBefore = now.advanced(by: retry.seconds * Double(1 << min(failures, 5)))
        failures += 1
    }

    /// Looks again later.
    mutating func lookAgain(at next: Moment) { notBefore = max(notBefore, next) }

    /// Somebody looked inside because ``mayDoze(now:after:)`` said so.
    ///
    /// - Parameters:
    ///   - isQuiet: Whether no process of a user was there, of whom timers may matter.
    ///   - next: When to look again otherwise.
    /// - Returns: Whether it dozes from now on.
    mutating func doze(isQuiet: Bool, lookAgainAt next: Moment) -> Bool {
        guard activities.isEmpty else { return false }
        if !isQuiet { noDozeBefore = next }
        isDozing = isQuiet
        return isQuiet
    }

    /// It was roused without being used.
    mutating func roused() { isDozing = false }

    // MARK: What follows

    /// Whether ``foreground`` may no longer be true: somebody used the sandbox since, or it is older than `age` seconds.
    ///
    /// Asking the guest takes CPU time inside, so that an observer who asks often would keep the sandbox awake.
    func isForegroundStale(now: Moment, age: Double) -> Bool {
        guard let looked else { return true }
        return looked < lastActivityEnd || now.seconds(since: looked) >= age
    }

    /// Whether a CPU sample is due.
    func needsSample(now: Moment, interval: Double) -> Bool {
        guard activities.isEmpty else { return false }
        guard let sample else { return true }
        return now.seconds(since: sample.at) >= interval
    }

    /// Since when nothing that can be dated has kept it awake.
    var idleSince: Moment { max(lastActivityEnd, max(lastBusy, lastForegroundEnd)) }

    /// Why it is awake, and if nothing keeps it awake, when its idle timeout ends.
    func verdict(_ lifecycle: LifecyclePolicy) -> Verdict {
        var reasons = activities.sorted { $0.key.text < $1.key.text }.map { activity, count in
            count == 1 && activity.isRequest ? activity.text : "\(activity.text) (\(count))"
        }
        reasons += foreground
        if let busyShare { reasons.append("cpu \(Int((busyShare * 100).rounded()))% of a core") }
        if lifecycle.onIdle == .none { reasons.append("lifecycle.on_idle is none") }
        reasons += blockers.map { "standby blocked: \($0)" }
        if let failure { reasons.append("\(lifecycle.onIdle.rawValue) failed, to be tried again: \(failure)") }
        let idleAt = reasons.isEmpty ? idleSince.advanced(by: lifecycle.idleTimeout) : nil
        return Verdict(reasons: reasons, idleAt: idleAt)
    }

    /// Whether it is time to look inside and act: nothing that the host can see keeps it awake. Foreground processes,
    /// blockers and failures are as they were when last looked, so they are looked at again when their wait is over.
    func isDue(_ lifecycle: LifecyclePolicy, now: Moment) -> Bool {
        activities.isEmpty && busyShare == nil && lifecycle.onIdle != .none && now >= notBefore
            && now.seconds(since: idleSince) >= lifecycle.idleTimeout
    }

    /// Whether nobody has used it for `after` seconds, and it uses no CPU itself.
    func mayDoze(now: Moment, after: Double) -> Bool {
        !isDozing && activities.isEmpty && busyShare == nil && now >= noDozeBefore
            && now.seconds(since: lastActivityEnd) >= after
    }

    /// Whether it may be put to standby before its idle timeout, because others need its place: nobody uses it, it is seen
    /// to use no CPU, its rules allow standby, and it would wake by itself when it is called.
    func mayLeave(_ lifecycle: LifecyclePolicy, now: Moment, grace: Double) -> Bool {
        guard activities.isEmpty, busyShare == nil, lifecycle.onIdle == .standby, lifecycle.autoResume,
            now >= notBefore, now.seconds(since: idleSince) >= grace, let sample
        else { return false }
        // The first sample is a beginning only; from the second on a share is known.
        return isMeasured || now.seconds(since: sample.at) >= IdleState.shortestSample
    }

    /// Seconds over which a share of CPU means something.
    static let shortestSample = 0.2

    struct Verdict: Sendable, Hashable {
        /// As in `awake_because`.
        var reasons: [String]
        var idleAt: Moment?
    }

    static let foregroundTag = "foreground"

    /// Reasons of one kind that are told; a guest may have or claim any number.
    private static let maximumReasons = 16

    /// A command as the guest tells it: short, and without control characters.
    private static func brief(_ arguments: [String]) -> String {
        var text = ""
        for argument in arguments.prefix(60) where text.unicodeScalars.count <= 60 {
            if !text.isEmpty { text += " " }
            for scalar in argument.unicodeScalars.prefix(61) {
                text.unicodeScalars.append(scalar.properties.generalCategory == .control ? " " : scalar)
            }
        }
        let scalars = text.unicodeScalars
        return scalars.count <= 60 ? text : String(String.UnicodeScalarView(scalars.prefix(57))) + "..."
    }
}

extension Activity {
    var text: String {
        switch self {
        case .request(let name): "request: \(name)"
        case .stream(let name): "stream: \(name)"
        case .observer: "observer"
        }
    }

    var isRequest: Bool {
        if case .request = self { true } else { false }
    }
}

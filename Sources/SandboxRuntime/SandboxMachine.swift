internal import GuestClient
internal import Isolation
internal import SandboxModel
internal import Store

/// The processes of a sandbox, as long as it has some.
struct Incarnation: Sendable {
    let execution: any Execution
    var id: ExecutionID { execution.id }
    var session: GuestSession { execution.guest }
}

/// The state of one sandbox. It is the only way to change it: each function decides under the lock what is to be done
/// and returns that; the caller does it outside of the lock and reports the end.
///
/// Whatever is under way is a phase of its own, which later callers join. A deletion overtakes everything; the
/// transition that was overtaken learns of it at its next step (``isCurrent(_:)``) and removes what it made.
struct SandboxMachine: Sendable {
    /// What the phase owns is in its case.
    enum Phase: Sendable {
        /// To `running`, `gone` (it failed), `deleting`.
        case creating(Transition)
        /// Found at the start of the server; shows the recorded state until it is clear what became of it. To anything.
        case adopting(Transition)
        /// To `pausing`, `recovering`, `suspending`, `stopping`, `deleting`.
        case running(Incarnation)
        /// To `paused`, back to `running`, `stopping` (lost), `deleting`.
        case pausing(Incarnation, Transition)
        /// To `unpausing`, `suspending`, `stopping`, `deleting`.
        case paused(Incarnation)
        /// To `running`, back to `paused`, `stopping` (lost), `deleting`.
        case unpausing(Incarnation, Transition)
        /// The processes run but the session broke. To `running`, `stopping` (lost), `deleting`.
        case recovering(Incarnation, Transition)
        /// To `standby`, back to `running` or `paused`, `stopping` (lost), `deleting`.
        case suspending(Incarnation, Transition, Suspension)
        /// To `resuming`, `stopping`, `deleting`.
        case standby
        /// A wake, or a fresh start. To `running`, back to `standby` or `stopped`, `failed`, `deleting`.
        case resuming(Transition)
        /// To `stopped`, `failed`, `deleting`.
        case stopping(Transition)
        /// To `resuming`, `deleting`.
        case stopped
        /// To `resuming`, `stopping`, `deleting`.
        case failed
        /// To `gone`, `failed`.
        case deleting(Transition)
        /// The end.
        case gone
    }

    struct Suspension: Sendable, Hashable {
        /// Whether it was paused in RAM before, and is to be again if the standby fails.
        var fromPaused: Bool
        var cause: Cause
        /// A request came: the next step turns back.
        var calledOff = false
        /// The memory is durable and will be recorded: there is no way back.
        var committed = false

        /// Why it was begun.
        enum Cause: String, Sendable, Hashable {
            case request, idle
            /// To make room for others.
            case pressure
        }

        /// Nobody asked for it; a request may call it off.
        var automatic: Bool { cause != .request }
    }

    /// What is asked of a sandbox.
    enum Command: Sendable, Hashable, CaseIterable {
        case run, pause, standby, idleStandby, pressureStandby, stop, idleStop, delete
    }

    /// What to do about a command.
    enum Decision: Sendable {
        /// Do this, then report it with ``finish(_:to:)``.
        case begin(Work)
        /// The same is under way: its outcome is yours.
        case join(Transition)
        /// Something else is under way: wait for its end, then ask again.
        case after(Transition)
        case already
        case refuse(SandboxError)
    }

    /// A transition to carry out.
    struct Work: Sendable {
        enum Step: Sendable {
            case pause(Incarnation)
            case unpause(Incarnation)
            case recover(Incarnation)
            case standby(Incarnation, Suspension)
            case wake
            case start
            case stop(Incarnation?, wasPaused: Bool)
            case lose(Incarnation, Loss)
            case delete(Incarnation?, overtaken: Transition?)
        }
        var transition: Transition
        var step: Step
    }

    /// Something that ended without being asked to.
    enum Loss: Sendable {
        case execution(ExecutionEnd)
        case session(SandboxError)
    }

    /// Set by the functions of this type alone.
    var phase: Phase
    /// As confirmed by the store.
    private(set) var status: SandboxRecord.Status
    /// ``SandboxRecord/Status/changedAt`` of the status, on the clock that never jumps.
    private(set) var changedAt: Moment
    private(set) var spec: ValidatedSpec
    /// Number of the change that ``spec`` comes from.
    private var specChange: UInt64 = 0
    var initLayer: String
    var idle: IdleState
    private var losses: [ExecutionID: Loss] = [:]
    /// When broken sessions were opened again, as far as it is not long ago.
    private var recoveries: [Moment] = []
    /// So often in so many seconds a broken session is opened again.
    private static let maximumRecoveries = 3
    private static let recoveryWindow = 60.0

    init(phase: Phase, record: SandboxRecord, now: Moment, changedAt: Moment) {
        self.phase = phase
        self.changedAt = changedAt
        status = record.status
        spec = record.spec
        initLayer = record.initLayer
        idle = IdleState(now: now)
    }

    /// As the API shows it.
    var state: SandboxState {
        switch phase {
        case .creating: .creating
        case .adopting: status.state
        case .running, .pausing, .recovering: .running
        case .paused, .unpausing: .paused
        case .suspending: .suspending
        case .standby: .standby
        case .resuming: .resuming
        case .stopping, .deleting, .gone: .stopping
        case .stopped: .stopped
        case .failed: .failed
        }
    }

    /// The transition under way.
    var transition: Transition? {
        switch phase {
        case .creating(let transition), .adopting(let transition), .pausing(_, let transition),
            .unpausing(_, let transition), .recovering(_, let transition), .suspending(_, let transition, _),
            .resuming(let transition), .stopping(let transition), .deleting(let transition):
            transition
        case .running, .paused, .standby, .stopped, .failed, .gone: nil
        }
    }

    /// The incarnation that the phase owns.
    var incarnation: Incarnation? {
        switch phase {
        case .running(let incarnation), .paused(let incarnation), .pausing(let incarnation, _),
            .unpausing(let incarnation, _), .recovering(let incarnation, _), .suspending(let incarnation, _, _):
            incarnation
        case .creating, .adopting, .standby, .resuming, .stopping, .stopped, .failed, .deleting, .gone: nil
        }
    }

    /// Whether this transition still decides what becomes of the sandbox.
    func isCurrent(_ transition: Transition) -> Bool { self.transition === transition }

    /// Takes over a status that the store has confirmed.
    mutating func confirm(_ status: SandboxRecord.Status, by transition: Transition, now: Moment) {
        guard isCurrent(transition) else { return }
        if status.state != self.status.state { changedAt = now }
        self.status = status
    }

    /// Takes over a specification that the store has confirmed. Confirmations may come in another order than the store's.
    mutating func confirm(_ spec: ValidatedSpec, change: UInt64) {
        guard change > specChange else { return }
        (self.spec, specChange) = (spec, change)
    }

    // MARK: The ends of transitions

    /// Where a transition ends.
    enum Rest: Sendable {
        case running(Incarnation)
        case paused(Incarnation)
        case standby
        case stopped
        case failed
        case gone
    }

    /// Ends a transition.
    ///
    /// - Returns: What has to be done next, because the incarnation was lost meanwhile; `nil` also if the transition was
    ///   overtaken, in which case nothing changed.
    mutating func finish(_ transition: Transition, to rest: Rest, now: Moment) -> Work? {
        guard isCurrent(transition) else { return nil }
        switch rest {
        case .running(let incarnation):
            phase = .running(incarnation)
            if transition.kind != .pause, transition.kind != .standby, transition.kind != .recover {
                idle = IdleState(now: now, keeping: idle)
            }
            // Whoever was about to pause it, or to keep its memory, has roused it.
            if transition.kind != .recover { idle.roused() }
        case .paused(let incarnation): phase = .paused(incarnation)
        case .standby: phase = .standby
        case .stopped: phase = .stopped
        case .failed: phase = .failed
        case .gone: phase = .gone
        }
        guard let incarnation else {
            losses = [:]
            return nil
        }
        losses = losses.filter { $0.key == incarnation.id }
        guard let loss = losses.removeValue(forKey: incarnation.id) else { return nil }
        return lost(incarnation.id, loss, now: now)
    }

    /// Something of an incarnation ended by itself. What is under way finds out on its own; then it is looked at when
    /// that ends.
    ///
    /// A session that breaks is opened again. A guest that breaks one after the other is given up: it would keep the
    /// server busy for ever.
    mutating func lost(_ id: ExecutionID, _ loss: Loss, now: Moment) -> Work? {
        switch phase {
        case .running(let incarnation) where incarnation.id == id:
            if case .session = loss, mayRecover(now: now) {
                let transition = Transition(.recover)
                phase = .recovering(incarnation, transition)
                return Work(transition: transition, step: .recover(incarnation))
            }
            return lose(incarnation, loss)
        case .paused(let incarnation) where incarnation.id == id:
            return lose(incarnation, loss)
        case .running, .paused, .standby, .stopping, .stopped, .failed, .deleting, .gone: return nil
        case .creating, .adopting, .pausing, .unpausing, .recovering, .suspending, .resuming:
            // The end of the processes says more than the end of the session.
            if case .execution? = losses[id] { return nil }
            losses[id] = loss
            return nil
        }
    }

    private mutating func mayRecover(now: Moment) -> Bool {
        recoveries = recoveries.filter { now.seconds(since: $0) < SandboxMachine.recoveryWindow }
        guard recoveries.count < SandboxMachine.maximumRecoveries else { return false }
        recoveries.append(now)
        return true
    }

    private mutating func lose(_ incarnation: Incarnation, _ loss: Loss) -> Work {
        let transition = Transition(.lose)
        phase = .stopping(transition)
        return Work(transition: transition, step: .lose(incarnation, loss))
    }

    /// Turns a transition that found its incarnation dead into the loss of it.
    ///
    /// - Returns: `false` if it was overtaken.
    mutating func giveUp(_ transition: Transition) -> Bool {
        guard isCurrent(transition) else { return false }
        phase = .stopping(transition)
        return true
    }
}

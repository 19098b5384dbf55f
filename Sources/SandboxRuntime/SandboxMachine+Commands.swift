internal import SandboxModel
internal import Store

// What each command does in each phase. The tests hold every pair to a row.
extension SandboxMachine {
    mutating func decide(_ command: Command) -> Decision {
        switch phase {
        case .gone: return .refuse(.overtaken)
        case .deleting(let transition): return command == .delete ? .join(transition) : .refuse(.overtaken)
        // A deletion that failed is only to be repeated: half of the sandbox may be gone.
        case .failed where status.deleting && command != .delete: return .refuse(.overtaken)
        default: break
        }
        switch command {
        case .run: return run()
        case .pause: return pause()
        case .standby: return standby()
        case .idleStandby: return unaskedStandby(.idle)
        case .pressureStandby: return unaskedStandby(.pressure)
        case .stop: return stop()
        case .idleStop: return idleStop()
        case .delete: return delete()
        }
    }

    private mutating func run() -> Decision {
        switch phase {
        case .running: return .already
        case .creating(let transition), .unpausing(_, let transition), .recovering(_, let transition),
            .resuming(let transition):
            return .join(transition)
        case .adopting(let transition), .pausing(_, let transition), .stopping(let transition):
            return .after(transition)
        case .suspending(let incarnation, let transition, var suspension):
            if suspension.automatic, !suspension.committed {
                suspension.calledOff = true
                phase = .suspending(incarnation, transition, suspension)
            }
            return .after(transition)
        case .paused(let incarnation):
            let transition = Transition(.unpause)
            phase = .unpausing(incarnation, transition)
            return .begin(Work(transition: transition, step: .unpause(incarnation)))
        case .standby: return resuming(.wake, .wake)
        // Memory on disk that a failure did not touch is still good.
        case .failed where status.checkpoint != nil: return resuming(.wake, .wake)
        case .stopped, .failed: return resuming(.start, .start)
        case .deleting, .gone: return .refuse(.overtaken)
        }
    }

    private mutating func resuming(_ kind: Transition.Kind, _ step: Work.Step) -> Decision {
        let transition = Transition(kind, beginning: ExecutionID())
        phase = .resuming(transition)
        return .begin(Work(transition: transition, step: step))
    }

    private mutating func pause() -> Decision {
        switch phase {
        case .paused: return .already
        case .pausing(_, let transition): return .join(transition)
        case .running(let incarnation):
            let transition = Transition(.pause)
            phase = .pausing(incarnation, transition)
            return .begin(Work(transition: transition, step: .pause(incarnation)))
        case .standby, .stopped, .failed: return .refuse(wrongState("pause", "it has no processes in memory"))
        default: return waitForOther()
        }
    }

    private mutating func standby() -> Decision {
        switch phase {
        case .standby: return .already
        case .suspending(_, let transition, let suspension):
            return suspension.calledOff ? .after(transition) : .join(transition)
        case .running(let incarnation): return suspending(incarnation, fromPaused: false, .request)
        case .paused(let incarnation): return suspending(incarnation, fromPaused: true, .request)
        case .stopped, .failed: return .refuse(wrongState("standby", "it has no memory to keep"))
        default: return waitForOther()
        }
    }

    /// Only of a sandbox that runs and that nobody uses.
    private mutating func unaskedStandby(_ cause: Suspension.Cause) -> Decision {
        guard case .running(let incarnation) = phase, idle.activities.isEmpty else {
            return .refuse(wrongState("standby", "it is in use"))
        }
        return suspending(incarnation, fromPaused: false, cause)
    }

    private mutating func suspending(
        _ incarnation: Incarnation, fromPaused: Bool, _ cause: Suspension.Cause
    ) -> Decision {
        let transition = Transition(.standby)
        let suspension = Suspension(fromPaused: fromPaused, cause: cause)
        phase = .suspending(incarnation, transition, suspension)
        return .begin(Work(transition: transition, step: .standby(incarnation, suspension)))
    }

    private mutating func stop() -> Decision {
        switch phase {
        case .stopped: return .already
        case .stopping(let transition): return .join(transition)
        case .running(let incarnation): return stopping(incarnation, wasPaused: false)
        case .paused(let incarnation): return stopping(incarnation, wasPaused: true)
        case .standby, .failed: return stopping(nil, wasPaused: false)
        default: return waitForOther()
        }
    }

    private mutating func idleStop() -> Decision {
        guard case .running(let incarnation) = phase, idle.activities.isEmpty else {
            return .refuse(wrongState("stop", "it is in use"))
        }
        return stopping(incarnation, wasPaused: false)
    }

    private mutating func stopping(_ incarnation: Incarnation?, wasPaused: Bool) -> Decision {
        let transition = Transition(.stop)
        phase = .stopping(transition)
        return .begin(Work(transition: transition, step: .stop(incarnation, wasPaused: wasPaused)))
    }

    private mutating func delete() -> Decision {
        let (incarnation, overtaken) = (incarnation, self.transition)
        let transition = Transition(.delete)
        phase = .deleting(transition)
        return .begin(Work(transition: transition, step: .delete(incarnation, overtaken: overtaken)))
    }

    private func waitForOther() -> Decision {
        if let transition { return .after(transition) }
        return .refuse(wrongState("this", "its state does not allow it"))
    }

    private func wrongState(_ action: String, _ why: String) -> SandboxError {
        SandboxError(
            .invalidState, "The sandbox is \(state.rawValue): \(why).",
            hint: action == "this" ? nil : "\(action) needs a sandbox that is running or paused; resume it first")
    }

    // MARK: Use

    /// What a request finds.
    enum Access: Sendable {
        /// It runs. `dozes`: its timers are late until somebody rouses it.
        case ready(Incarnation, dozes: Bool)
        case wait(Decision)
        case refuse(SandboxError)
    }

    /// Counts an activity if the sandbox runs, or tells what has to happen before.
    mutating func access(_ activity: Activity) -> Access {
        if case .running(let incarnation) = phase {
            return .ready(incarnation, dozes: activity == .observer ? false : idle.begin(activity))
        }
        if activity == .observer {
            if case .recovering(_, let transition) = phase { return .wait(.join(transition)) }
            if case .adopting(let transition) = phase { return .wait(.after(transition)) }
            return .refuse(notRunning("it is only looked at while it runs"))
        }
        switch phase {
        case .paused, .standby, .stopped, .failed:
            guard spec.value.lifecycle.autoResume else {
                return .refuse(notRunning("resume it, or set lifecycle.auto_resume"))
            }
        default: break
        }
        switch decide(.run) {
        case .refuse(let error): return .refuse(error)
        case let decision: return .wait(decision)
        }
    }

    private func notRunning(_ hint: String) -> SandboxError {
        SandboxError(.invalidState, "The sandbox is \(state.rawValue).", hint: hint)
    }

    // MARK: Steps of a standby

    /// Whether the standby goes on: it was neither called off nor overtaken.
    func continues(_ transition: Transition) -> Bool {
        guard case .suspending(_, let current, let suspension) = phase, current === transition else { return false }
        return !suspension.calledOff
    }

    /// Passes the point of no return.
    mutating func commit(_ transition: Transition) -> Bool {
        guard case .suspending(let incarnation, let current, var suspension) = phase, current === transition,
            !suspension.calledOff
        else { return false }
        suspension.committed = true
        phase = .suspending(incarnation, current, suspension)
        return true
    }

    /// The record could not be written: there is a way back after all.
    mutating func uncommit(_ transition: Transition) {
        guard case .suspending(let incarnation, let current, var suspension) = phase, current === transition else {
            return
        }
        suspension.committed = false
        phase = .suspending(incarnation, current, suspension)
    }
}

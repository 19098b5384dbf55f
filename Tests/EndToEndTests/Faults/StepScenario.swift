import Faults
import SandboxModel

/// A way to get a server past a step.
enum StepScenario: String, CaseIterable {
    case create, createUndone, start, stop, stopAsleep, lose, delete, deleteOvertaking
    case standby, turnBack, pause, unpause, recover
    case wake, fallBack, damagedWake
    case adopt, adoptPaused, completeStart, completeStandby, keep, orphan, newLayer, drain

    /// What has to be ordered besides, so that the way leads there.
    var detour: String? {
        switch self {
        case .createUndone: "fail create.launched"
        case .turnBack: "fail image.synced"
        case .fallBack: "fail wake.validated"
        default: nil
        }
    }

    /// Whether the step is on the way of a server that starts.
    var isAtStart: Bool {
        switch self {
        case .adopt, .adoptPaused, .completeStart, .completeStandby, .keep, .orphan, .newLayer: true
        default: false
        }
    }

    /// Whether the memory must be as it was, wherever the server ends.
    var keepsMemory: Bool {
        switch self {
        case .create, .createUndone, .start, .stop, .stopAsleep, .lose, .delete, .deleteOvertaking, .damagedWake,
            .orphan:
            false
        case .standby, .turnBack, .pause, .unpause, .recover, .wake, .fallBack, .adopt, .adoptPaused, .completeStart,
            .completeStandby, .keep, .newLayer, .drain:
            true
        }
    }

    /// The state before.
    var before: SandboxState? {
        switch self {
        case .create, .createUndone: nil
        case .start: .stopped
        case .wake, .fallBack, .damagedWake, .stopAsleep, .completeStart, .keep: .standby
        case .unpause, .adoptPaused: .paused
        default: .running
        }
    }

    /// What was promised if the request was answered without an error.
    var promised: SandboxState? {
        switch self {
        case .create, .start, .unpause, .wake, .damagedWake: .running
        case .standby: .standby
        case .pause: .paused
        case .stop, .stopAsleep: .stopped
        default: nil
        }
    }
}

extension Step {
    /// The ways past it. A new step must be given one: there is no default.
    var scenarios: [StepScenario] {
        switch self {
        case .createBegun, .createRecorded, .createDirectoriesMade, .createLaunched: [.create]
        case .createUndoEnded, .createUndoTrashed, .createUndone: [.createUndone]
        case .startRecorded, .startLaunched: [.start]
        case .startConfirmed: [.create, .start]
        case .fallBackEnded, .fallBackRecorded: [.fallBack]
        case .standbyChecked, .standbyRecorded, .standbyQuiesced, .standbyImageDurable, .standbyCommitted,
            .standbyAcknowledged, .standbySessionClosed, .standbyEnded, .standbyConfirmed:
            [.standby]
        case .turnBackDiscarded, .turnBackResumed, .turnBackRecorded: [.turnBack]
        case .wakeRecorded, .wakeValidated, .wakeRestored, .wakeConfirmed: [.wake]
        case .wakeMemoryGivenUp: [.damagedWake]
        case .pauseRecorded, .pauseDone: [.pause]
        case .unpauseRecorded, .unpauseDone: [.unpause]
        case .stopRecorded, .stopShutDown, .stopEnded, .stopConfirmed: [.stop]
        case .stopMemoryDropped: [.stopAsleep]
        case .loseRecorded: [.lose]
        case .recoverClosed, .recoverReattached: [.recover]
        case .deleteRecorded, .deleteEnded, .deleteTrashed, .deleteRemoved: [.delete]
        case .deleteOvertook: [.deleteOvertaking]
        default: otherScenarios
        }
    }

    private var otherScenarios: [StepScenario] {
        switch self {
        case .reconcileLoaded, .reconcileSurveyed, .reconcileDone, .adoptReattached: [.adopt]
        case .adoptAnswered, .adoptConfirmed: [.adoptPaused]
        case .completeStartAnswered, .completeStartConfirmed: [.completeStart]
        case .completeStandbyValidated, .completeStandbyConfirmed: [.completeStandby]
        case .keepEnded, .keepConfirmed: [.keep]
        case .orphanEnded, .orphanTrashed: [.orphan]
        case .drainBegun, .drainDone: [.drain]
        case .storeWritten, .storeCommitted: [.standby]
        case .layerWritten, .layerPlaced: [.newLayer]
        case .rootPrepared: [.create, .wake]
        case .imageBegun, .imageHashed, .imageSynced, .imageManifestWritten, .imageFilesSynced, .imagePlaced: [.standby]
        case .imageTrashed, .trashSwept: [.wake]
        case .slotFoldersMade, .slotShimStarted, .slotReady: [.create]
        case .slotTaken, .slotAssigned, .slotRootAttached, .slotGuestStarted, .slotSessionOpened: [.create, .wake]
        case .pauseMarked, .pauseEffected: [.standby, .pause]
        case .resumeMarked, .resumeEffected: [.turnBack, .unpause]
        case .saveBegun, .saveDone: [.standby]
        case .reattachFound, .reattachThawed, .reattachOpened: [.adopt, .adoptPaused]
        case .reattachMarked, .reattachResumed: [.adoptPaused]
        case .destroyBegun, .destroyDone: [.standby, .delete]
        default: []
        }
    }
}

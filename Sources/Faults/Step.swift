/// The named steps of every transition: the places at which a server may be gone.
///
/// Each case stands at one place in the code, where ``reached()`` or ``passed()`` is called. A test goes through all cases,
/// ends the server at each, starts it again and looks at what it finds; so a new case needs a way to get there in that
/// test, and a case that is in no place fails `scripts/check`.
public enum Step: String, CaseIterable, Sendable {
    // A creation.
    case createBegun = "create.begun"
    case createRecorded = "create.recorded"
    case createDirectoriesMade = "create.directories_made"
    case createLaunched = "create.launched"
    case createUndoEnded = "create.undo_ended"
    case createUndoTrashed = "create.undo_trashed"
    case createUndone = "create.undone"

    // A fresh start on old files; the end of it is the same as that of a creation.
    case startRecorded = "start.recorded"
    case startLaunched = "start.launched"
    case startConfirmed = "start.confirmed"
    case fallBackEnded = "fall_back.ended"
    case fallBackRecorded = "fall_back.recorded"

    // Standby, and the way back from one that failed.
    case standbyChecked = "standby.checked"
    case standbyRecorded = "standby.recorded"
    case standbyQuiesced = "standby.quiesced"
    case standbyImageDurable = "standby.image_durable"
    case standbyCommitted = "standby.committed"
    case standbyAcknowledged = "standby.acknowledged"
    case standbySessionClosed = "standby.session_closed"
    case standbyEnded = "standby.ended"
    case standbyConfirmed = "standby.confirmed"
    case turnBackDiscarded = "turn_back.discarded"
    case turnBackResumed = "turn_back.resumed"
    case turnBackRecorded = "turn_back.recorded"

    // A wake.
    case wakeRecorded = "wake.recorded"
    case wakeValidated = "wake.validated"
    case wakeRestored = "wake.restored"
    case wakeConfirmed = "wake.confirmed"
    case wakeMemoryGivenUp = "wake.memory_given_up"

    // Pauses in RAM.
    case pauseRecorded = "pause.recorded"
    case pauseDone = "pause.done"
    case unpauseRecorded = "unpause.recorded"
    case unpauseDone = "unpause.done"

    // Ends.
    case stopRecorded = "stop.recorded"
    case stopShutDown = "stop.shut_down"
    case stopEnded = "stop.ended"
    case stopMemoryDropped = "stop.memory_dropped"
    case stopConfirmed = "stop.confirmed"
    case loseRecorded = "lose.recorded"
    case recoverClosed = "recover.closed"
    case recoverReattached = "recover.reattached"
    case deleteRecorded = "delete.recorded"
    case deleteEnded = "delete.ended"
    case deleteOvertook = "delete.overtook"
    case deleteTrashed = "delete.trashed"
    case deleteRemoved = "delete.removed"

    // What a new server does with what it finds.
    case reconcileLoaded = "reconcile.loaded"
    case reconcileSurveyed = "reconcile.surveyed"
    case adoptReattached = "adopt.reattached"
    case adoptAnswered = "adopt.answered"
    case adoptConfirmed = "adopt.confirmed"
    case completeStartAnswered = "complete_start.answered"
    case completeStartConfirmed = "complete_start.confirmed"
    case completeStandbyValidated = "complete_standby.validated"
    case completeStandbyConfirmed = "complete_standby.confirmed"
    case keepEnded = "keep.ended"
    case keepConfirmed = "keep.confirmed"
    case orphanEnded = "orphan.ended"
    case orphanTrashed = "orphan.trashed"
    case reconcileDone = "reconcile.done"
    case drainBegun = "drain.begun"
    case drainDone = "drain.done"

    // The store.
    case storeWritten = "store.written"
    case storeCommitted = "store.committed"

    // The data directory.
    case layerWritten = "layer.written"
    case layerPlaced = "layer.placed"
    case rootPrepared = "root.prepared"
    case imageBegun = "image.begun"
    case imageHashed = "image.hashed"
    case imageSynced = "image.synced"
    case imageManifestWritten = "image.manifest_written"
    case imageFilesSynced = "image.files_synced"
    case imagePlaced = "image.placed"
    case imageTrashed = "image.trashed"
    case trashSwept = "trash.swept"

    // The driver.
    case slotFoldersMade = "slot.folders_made"
    case slotShimStarted = "slot.shim_started"
    case slotReady = "slot.ready"
    case slotTaken = "slot.taken"
    case slotAssigned = "slot.assigned"
    case slotRootAttached = "slot.root_attached"
    case slotGuestStarted = "slot.guest_started"
    case slotSessionOpened = "slot.session_opened"
    case pauseMarked = "slot.pause_marked"
    case pauseEffected = "slot.pause_effected"
    case resumeMarked = "slot.resume_marked"
    case resumeEffected = "slot.resume_effected"
    case saveBegun = "slot.save_begun"
    case saveDone = "slot.save_done"
    case reattachFound = "slot.reattach_found"
    case reattachThawed = "slot.reattach_thawed"
    case reattachMarked = "slot.reattach_marked"
    case reattachResumed = "slot.reattach_resumed"
    case reattachOpened = "slot.reattach_opened"
    case destroyBegun = "slot.destroy_begun"
    case destroyDone = "slot.destroy_done"

    /// Goes past a step at which something may fail. In a release build this is nothing.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed`, in a debug build that was told to (``FaultInjection``).
    @inlinable
    public func reached() throws {
        #if DEBUG
        try FaultInjection.meet(self, mayFail: true)
        #endif
    }

    /// Goes past a step after which nothing is refused any more: the server may only be ended there.
    @inlinable
    public func passed() {
        #if DEBUG
        try? FaultInjection.meet(self, mayFail: false)
        #endif
    }
}

internal import Glibc
internal import IsolationShim
internal import LinuxSystem
internal import Logging
internal import SandboxModel

extension GVisorSlot {
    /// What a later server must know of a sandbox that is not just running. In a file of the slot.
    enum Mark: String {
        case pausing, paused, resuming
    }

    private var markFile: String { directory + "/paused" }

    /// Replaces the mark. The run directory is in memory, so this is a matter of microseconds.
    func mark(_ mark: Mark?) {
        guard let mark else {
            unlink(markFile)
            return
        }
        try? DurableFile.replace(markFile, with: Array(mark.rawValue.utf8), durable: false)
    }

    /// The mark that a former server left.
    var mark: Mark? { (try? TextFile.read(markFile)).flatMap(Mark.init(rawValue:)) }

    /// Takes the CPU from the sandbox's processes on the host. An idle gVisor kernel polls, so a sandbox in which nothing
    /// runs would still use some 5 % of a core. Without a freezer it does, so a failure is only worth a word.
    func freeze(_ logger: Logger) {
        do {
            try cgroup?.freeze()
        } catch {
            logger.warning("a sandbox was not frozen", metadata: ["slot": "\(id)", "error": "\(error)"])
        }
    }

    /// Undoes ``freeze(_:)``; must come before anything that the sandbox's processes are to do.
    func thaw() throws {
        do {
            try cgroup?.thaw()
        } catch {
            throw SandboxError(.driverFailed, "The sandbox's processes cannot go on.", cause: error)
        }
    }

    /// Stops all processes of the guest where they are.
    func pause(usesSocket: Bool, until deadline: ContinuousClock.Instant) async throws {
        try await usesSocket
            ? control.call("containerManager.Pause", "null", until: deadline)
            : runsc.run(["pause"], until: deadline)
    }

    /// Writes an image of the paused guest, which stays paused, into an empty directory.
    ///
    /// - Returns: Checksums that were found out meanwhile, by file name.
    @discardableResult
    func save(
        to directory: String, usesSocket: Bool, until deadline: ContinuousClock.Instant
    ) async throws -> [String: UInt64] {
        guard usesSocket else {
            let options = ["checkpoint", "--leave-running", "--compression=none", "--image-path=\(directory)"]
            try await runsc.run(options, until: deadline)
            return [:]
        }
        let files = try await BlockingPool.shared.run { try CheckpointImage.create(in: directory) }
        // The versions of which this source knows the socket write the pages from the beginning to the end.
        let pages = CheckpointImage.names[2]
        let checksum = try await GrowingFile.checksum(files[2], "\(directory)/\(pages)") {
            // `Resume` keeps the sandbox's process alive, even if the checkpoint fails; it does not undo the pause.
            try await control.call(
                "containerManager.Checkpoint",
                #"{"metadata":{"compression":"none"},"have_pages_file":true,"Resume":true}"#,
                descriptors: files, until: deadline)
        }
        return [pages: checksum]
    }

    /// Lets a paused sandbox go on. Never for one that is not paused: gVisor would end it.
    func resume(usesSocket: Bool, until deadline: ContinuousClock.Instant) async throws {
        try await usesSocket
            ? control.call("containerManager.Resume", "null", until: deadline)
            : runsc.run(["resume"], until: deadline)
    }
}

internal import Glibc
internal import LinuxSystem
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

    /// Lets a paused sandbox go on. Never for one that is not paused: gVisor would end it.
    func resume(usesSocket: Bool, until deadline: ContinuousClock.Instant) async throws {
        try await usesSocket
            ? control.call("containerManager.Resume", "null", until: deadline)
            : runsc.run(["resume"], until: deadline)
    }

    /// What the init and gVisor wrote to their standard errors last.
    func lastWords() -> String {
        ["stderr", "panic.log"].compactMap { try? TextFile.read("\(directory)/\($0)", limit: 1 << 20) }
            .joined(separator: "\n").split(whereSeparator: \.isNewline).suffix(3).joined(separator: " | ")
            .prefix(500).description
    }
}

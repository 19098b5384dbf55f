/// Where a sandbox is in its life.
///
/// ``transitions`` is the whole table; the runtime changes a state in no other way, and records the new state in the
/// store before the effect begins. States that end in "-ing" are under way: later callers join them.
public enum SandboxState: String, Sendable, Hashable, Codable, CaseIterable {
    /// The first start is under way. To `running`, or `failed`, or `stopping` (deleted meanwhile).
    case creating
    /// Its processes run. To `paused`, `suspending`, `stopping`, `failed`.
    case running
    /// Frozen in RAM: no CPU, memory held. To `running`, `suspending`, `stopping`, `failed`.
    case paused
    /// A checkpoint is being written. To `standby`, back to `running` (or `paused`), `stopping`, `failed`.
    case suspending
    /// Asleep on disk: no process, no RAM, memory and files intact. To `resuming`, `stopping`, `failed`.
    case standby
    /// Being woken from standby, or started again from `stopped`. To `running`, back to `standby` or `stopped`,
    /// `stopping`, `failed`.
    case resuming
    /// Its processes are being ended. To `stopped`, or gone (deleted), or `failed`.
    case stopping
    /// No process and no memory; the files are intact. To `resuming`, `stopping` (deletion), `failed`.
    case stopped
    /// Something broke that the runtime could not mend; the files are kept. To `resuming` (a fresh start), `stopping`.
    case failed

    /// The states that may follow each state.
    public static let transitions: [SandboxState: Set<SandboxState>] = [
        .creating: [.running, .stopping, .failed],
        .running: [.paused, .suspending, .stopping, .failed],
        .paused: [.running, .suspending, .stopping, .failed],
        .suspending: [.standby, .running, .paused, .stopping, .failed],
        .standby: [.resuming, .stopping, .failed],
        .resuming: [.running, .standby, .stopped, .stopping, .failed],
        .stopping: [.stopped, .failed],
        .stopped: [.resuming, .stopping, .failed],
        .failed: [.resuming, .stopping],
    ]

    public func canBecome(_ next: SandboxState) -> Bool { Self.transitions[self]?.contains(next) ?? false }

    /// Whether a transition is under way, which ends by itself.
    public var isTransient: Bool {
        switch self {
        case .creating, .suspending, .resuming, .stopping: true
        case .running, .paused, .standby, .stopped, .failed: false
        }
    }
}

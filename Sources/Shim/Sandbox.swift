internal import Glibc

/// The guest's ends of what the shim holds. Whoever made them closes them.
struct GuestEnds {
    var channel: Int32
    /// Where its complaints go.
    var errors: Int32
}

/// How far a sandbox that was started is.
enum Settlement {
    case ready
    /// Ask again when a child has ended, or after so many milliseconds.
    case waiting(Int?)
    /// Why it came to nothing.
    case failed(String)
}

/// What became of a request.
struct Outcome {
    /// Why it failed; `nil`: it did not.
    var failure: String?
    /// Goes with the answer, and stays the shim's.
    var descriptor: Int32?
    /// Whether the slot holds something of a sandbox now.
    var isAttached = false

    static func failed(_ reason: String) -> Outcome { Outcome(failure: reason) }
}

/// What differs between the kinds of sandboxes that a shim may be the parent of.
protocol Sandbox {
    /// Its processes once they are known, the sandbox itself first, with what a server calls them.
    var processes: [(name: String, pid: Int32)] { get }
    /// More lines `key value` that a server may want to know.
    var details: String { get }
    /// Whether it lacks a process that it cannot do without, and has not ended by that yet.
    var isOrphaned: Bool { get }
    /// Whether it was ended because nothing else helped against a lack of memory.
    var isOutOfMemory: Bool { get }
    /// What to wait for besides, and when to look at the latest, in milliseconds of the monotonic clock.
    var polls: [pollfd] { get }
    var nextLook: Int? { get }

    /// Starts it.
    ///
    /// - Returns: What failed; `nil` if nothing did.
    mutating func start(_ ends: GuestEnds) -> String?
    /// - Parameter errors: The end of what it wrote to its error stream.
    mutating func settle(errors: [UInt8]) -> Settlement
    /// Takes notice of a child that was reaped.
    ///
    /// - Returns: The exit code, if this child was the sandbox itself.
    mutating func reaped(_ pid: Int32, status: Int32) -> Int32?
    /// Answers a request that not every kind of sandbox knows.
    ///
    /// - Returns: `nil` if this kind does not know it.
    mutating func perform(_ operation: ShimOperation, _ payload: ArraySlice<UInt8>, _ state: Slot.State) -> Outcome?
    /// Does what came up meanwhile.
    mutating func look(now: Int)
}

extension Sandbox {
    var details: String { "" }
    var isOrphaned: Bool { false }
    var isOutOfMemory: Bool { false }
    var polls: [pollfd] { [] }
    var nextLook: Int? { nil }
    func look(now: Int) {}
}

/// A status as a shell tells it.
func exitCode(_ status: Int32) -> Int32 { status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F }

internal import NIOCore
public import SandboxModel
public import Wire

// The surface of this module; see the files beside it for how it works.

/// The host's end of a session with the init of one sandbox.
///
/// It owns the channel's descriptor. All functions may be called concurrently; each opens a stream of its own, and a
/// slow reader of one stream never stalls another. When the session ends (the sandbox died, or broke the protocol),
/// everything under way throws ``SandboxError`` with `guest_failed`. Cancelling a task closes its stream.
public final class GuestSession: Sendable {
    /// What the guest said when the session began.
    public let hello: Hello = Hello(oldestGeneration: 1, newestGeneration: 1, version: "", boot: 0)
    init() {}
}

internal import GuestClient
internal import HTTPKit
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

/// Sends a process's output as it comes, as an observer: it neither wakes the sandbox nor keeps it awake. While the
/// sandbox sleeps the stream stays open; it goes on at its offset after the wake.
struct OutputFollower: Sendable {
    let runtime: SandboxRuntime
    /// Its identifier: a name may go to another sandbox meanwhile.
    let sandbox: String
    let process: UInt32

    /// Refuses a process that is not there, if that can be told without waking the sandbox.
    func check() async throws {
        do {
            _ = try await runtime.withGuest(sandbox, .observer) { guest in
                try await APIService.info(of: process, guest.session)
            }
        } catch let error as SandboxError where Self.isAsleep(error) {
            return
        }
    }

    func run(from start: Int64, _ sink: EventSink) async throws {
        let position = Position(start)
        while true {
            do {
                let ended = try await runtime.withGuest(sandbox, .observer) { guest in
                    try await follow(guest.session, position, sink)
                }
                if ended { return }
            } catch let error as SandboxError where error.code == .outputLost {
                // Too slow; what is still retained follows.
                continue
            } catch let error as SandboxError where Self.isAsleep(error) {
                try Task.checkCancellation()
                try await waitUntilRunning()
            }
        }
    }

    /// Whether the process has exited and all of its output is sent.
    private func follow(_ session: GuestSession, _ position: Position, _ sink: EventSink) async throws -> Bool {
        let stream = try await session.attach(
            ProcessAttach(id: process, offset: await position.offset, observer: true))
        while let event = try await stream.next() {
            switch event {
            case .output(let bytes, let stderr, let offset):
                let next = offset + Int64(bytes.count)
                let chunk = OutputChunkResource(
                    offset: offset, stream: stderr ? "stderr" : "stdout", dataBase64: Base64.encode(bytes))
                try await sink.send(event: "output", id: "\(next)", data: chunk)
                await position.advance(to: next)
            case .exited(let exit):
                try await sink.send(event: "exit", data: ExitResource(exit))
                return true
            }
        }
        return false
    }

    /// The sandbox does not run, or its session has just ended.
    private static func isAsleep(_ error: SandboxError) -> Bool {
        error.code == .invalidState || error.code == .guestFailed || error.code == .unavailable
    }

    /// Looks at the state, which costs nothing inside the sandbox. An event could be missed: between the look at a state and
    /// the first look at the events a sandbox may wake.
    private func waitUntilRunning() async throws {
        repeat {
            // Also when it runs: its session may be about to end, and a short wait keeps this from spinning.
            try await Task.sleep(for: .milliseconds(50))
        } while try await runtime.get(sandbox).state != .running
    }

    private actor Position {
        private(set) var offset: Int64
        init(_ offset: Int64) { self.offset = offset }
        func advance(to new: Int64) { offset = new }
    }
}

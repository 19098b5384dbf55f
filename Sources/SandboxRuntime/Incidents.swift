internal import GuestClient
internal import Logging
internal import SandboxModel
internal import Store
internal import Wire

// What the guest's init noticed: limits that were met, processes that did not end by themselves.
extension SandboxRuntime {
    /// Turns incidents into events and counts, until the session ends or the task is cancelled.
    ///
    /// They are the guest's word, so their number is bounded: a burst, and then one a second.
    func tell(_ incidents: AsyncStream<Incident>, of sandbox: Sandbox) async {
        var allowance = Allowance(clock.moment)
        for await incident in incidents {
            guard let left = allowance.take(clock.moment) else { continue }
            let cause = ExitCause(incident.kind)
            telemetry.limit(cause)
            var detail = ["cause": cause.rawValue]
            if incident.process != 0 { detail["process"] = "\(incident.process)" }
            if incident.pid != 0 { detail["pid"] = "\(incident.pid)" }
            if incident.signal != 0 { detail["signal"] = "\(incident.signal)" }
            if incident.bytes != 0 { detail["bytes"] = "\(incident.bytes)" }
            if !incident.command.isEmpty { detail["command"] = Self.printable(incident.command) }
            if left > 0 { detail["left_out"] = "\(left)" }
            let type = cause.isLimit ? "sandbox.limit_reached" : "sandbox.process_ended"
            do {
                try await store.append([event(type, sandbox, detail)])
                feed.signal()
            } catch {
                logger.warning("An event could not be recorded", metadata: log(sandbox, error))
            }
        }
    }

    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(64).map { scalar in
                    let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                    return isControl ? Unicode.Scalar(0xFFFD) ?? scalar : scalar
                }))
    }

    /// A bucket of 20 that fills by one a second.
    struct Allowance {
        private var left = 20.0
        private var at: Moment
        private var dropped = 0

        init(_ now: Moment) { at = now }

        /// - Returns: How many were left out before this one; `nil` if this one is.
        mutating func take(_ now: Moment) -> Int? {
            left = min(20, left + now.seconds(since: at))
            at = now
            guard left >= 1 else {
                dropped += 1
                return nil
            }
            left -= 1
            defer { dropped = 0 }
            return dropped
        }
    }
}

extension ExitCause {
    init(_ kind: Incident.Kind) {
        self =
            switch kind {
            case .outOfMemory: .outOfMemory
            case .diskFull: .diskFull
            case .processesExhausted: .processesExhausted
            case .timedOut: .timedOut
            case .signalled: .signal
            }
    }

    /// Whether it is a limit of the sandbox, not of one process.
    var isLimit: Bool { self == .outOfMemory || self == .diskFull || self == .processesExhausted }
}

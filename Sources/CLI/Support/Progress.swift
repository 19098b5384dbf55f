internal import Foundation
internal import SandboxModel
internal import Synchronization

/// A progress bar on standard error; silent if that is no terminal.
final class Progress: Sendable {
    private struct State {
        var done: Int64 = 0
        var total: Int64?
        var lastDrawn: ContinuousClock.Instant?
    }

    private let state: Mutex<State>
    private let isShown: Bool
    private let start = ContinuousClock.now

    /// - Parameter total: Bytes to come; `nil` if that is not known.
    init(total: Int64?, isShown: Bool) {
        state = Mutex(State(total: total))
        self.isShown = isShown && TerminalMode.standardErrorIsTerminal
    }

    var done: Int64 { state.withLock { $0.done } }

    func add(_ bytes: Int) {
        let line: String? = state.withLock { state in
            state.done += Int64(bytes)
            let now = ContinuousClock.now
            guard isShown, state.lastDrawn.map({ now - $0 > .milliseconds(100) }) ?? true else { return nil }
            state.lastDrawn = now
            return draw(state, now - start)
        }
        if let line { put(line) }
    }

    /// Draws the last state and ends the line.
    func finish() {
        guard isShown, let line = state.withLock({ $0.done > 0 ? draw($0, ContinuousClock.now - start) : nil }) else {
            return
        }
        put(line + "\n")
    }

    private func draw(_ state: State, _ elapsed: Duration) -> String {
        let seconds = max(0.001, Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18)
        let rate = "\(Human.bytes(Int64(Double(state.done) / seconds)))/s"
        guard let total = state.total, total > 0 else { return "\r\(Human.bytes(state.done))  \(rate)\u{1B}[K" }
        let share = min(1, Double(state.done) / Double(total))
        let bar = String(repeating: "=", count: Int(share * 30)).padding(toLength: 30, withPad: " ", startingAt: 0)
        return "\r[\(bar)] \(Int(share * 100))%  \(Human.bytes(state.done)) of \(Human.bytes(total))  \(rate)\u{1B}[K"
    }

    private func put(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

internal import Metrics
internal import SandboxModel

/// What `/metrics` says of the runtime.
struct RuntimeMetrics: Sendable {
    /// Counts a transition and its time.
    func transition(_ kind: Transition.Kind, seconds: Double, outcome: Result<Void, SandboxError>) {
        let result: String
        switch outcome {
        case .success: result = "ok"
        case .failure(let error): result = error.code.rawValue
        }
        Counter(label: "nightjar_transitions_total", dimensions: [("kind", kind.rawValue), ("outcome", result)])
            .increment()
        Timer(label: "nightjar_transition_duration_seconds", dimensions: [("kind", kind.rawValue)])
            .recordNanoseconds(Int64(seconds * 1e9))
    }

    func postponed() { Counter(label: "nightjar_standby_postponed_total").increment() }

    func lost(outOfMemory: Bool) {
        Counter(label: "nightjar_memory_lost_total", dimensions: [("out_of_memory", outOfMemory ? "true" : "false")])
            .increment()
    }

    func population(_ counts: [SandboxState: Int]) {
        for state in SandboxState.allCases {
            Gauge(label: "nightjar_sandboxes", dimensions: [("state", state.rawValue)]).record(counts[state] ?? 0)
        }
    }
}

internal import Metrics
internal import SandboxModel
internal import Store

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

    /// How many sandboxes wait that were booted ahead.
    func prebooted(_ count: Int) { Gauge(label: "nightjar_prebooted_sandboxes").record(count) }

    /// Counts a creation that found one that was booted ahead, or did not.
    func prebootedTaken(_ found: Bool) {
        Counter(label: "nightjar_prebooted_taken_total", dimensions: [("outcome", found ? "hit" : "miss")]).increment()
    }

    func postponed() { Counter(label: "nightjar_standby_postponed_total").increment() }

    func lost(outOfMemory: Bool) {
        Counter(label: "nightjar_memory_lost_total", dimensions: [("out_of_memory", outOfMemory ? "true" : "false")])
            .increment()
    }

    /// Counts a start that was let in, and how long it waited.
    func admitted(seconds: Double) {
        Counter(label: "nightjar_admissions_total", dimensions: [("outcome", "admitted")]).increment()
        Timer(label: "nightjar_admission_wait_seconds").recordNanoseconds(Int64(seconds * 1e9))
    }

    func refused(_ error: SandboxError) {
        Counter(label: "nightjar_admissions_total", dimensions: [("outcome", error.code.rawValue)]).increment()
    }

    /// Counts an attempt to put a sandbox to standby to make room.
    func evicted(_ outcome: String) {
        Counter(label: "nightjar_evictions_total", dimensions: [("outcome", outcome)]).increment()
    }

    /// Adds what sandboxes used since the readings before.
    func used(_ amount: UsageAmount) {
        FloatingPointCounter(label: "nightjar_usage_cpu_seconds_total").increment(by: amount.cpuSeconds)
        FloatingPointCounter(label: "nightjar_usage_running_seconds_total").increment(by: amount.runningSeconds)
        FloatingPointCounter(label: "nightjar_usage_memory_byte_seconds_total").increment(by: amount.memoryByteSeconds)
    }

    /// Bytes of memory that lie on disk.
    func asleep(bytes: Int64) { Gauge(label: "nightjar_standby_bytes").record(bytes) }

    func node(_ queue: AdmissionQueue) {
        let budget = queue.policy.budget
        Gauge(label: "nightjar_admission_waiting").record(queue.waiting)
        Gauge(label: "nightjar_admission_starting").record(queue.starting.count)
        Gauge(label: "nightjar_reserved_memory_bytes").record(queue.reserved.memory)
        Gauge(label: "nightjar_reserved_cpus").record(queue.reserved.cpus)
        Gauge(label: "nightjar_reserved_sandboxes").record(queue.reserved.sandboxes)
        Gauge(label: "nightjar_budget_memory_bytes").record(budget.memory)
        Gauge(label: "nightjar_budget_cpus").record(budget.cpus)
        Gauge(label: "nightjar_budget_sandboxes").record(budget.sandboxes)
    }

    /// Counts a limit that was met, or a process that did not end by itself.
    func limit(_ cause: ExitCause) {
        Counter(label: "nightjar_limit_hits_total", dimensions: [("cause", cause.rawValue)]).increment()
    }

    func population(_ counts: [SandboxState: Int]) {
        for state in SandboxState.allCases {
            Gauge(label: "nightjar_sandboxes", dimensions: [("state", state.rawValue)]).record(counts[state] ?? 0)
        }
    }
}

internal import CoreMetrics
internal import Synchronization

/// Only ever grows; decrements and resets are ignored, as Prometheus wants it.
final class PrometheusCounter: CounterHandler, FloatingPointCounterHandler, PrometheusSeries {
    private let value = Mutex(0.0)

    func increment(by amount: Int64) { increment(by: Double(amount)) }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        value.withLock { $0 += amount }
    }

    func reset() {}

    func render(name: String, labels: String, into text: inout String) {
        text += PrometheusText.line(name, labels, value: PrometheusText.number(value.withLock { $0 }))
    }
}

final class PrometheusGauge: MeterHandler, RecorderHandler, PrometheusSeries {
    private let value = Mutex(0.0)

    func set(_ new: Int64) { value.withLock { $0 = Double(new) } }
    func set(_ new: Double) { value.withLock { $0 = new } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ new: Int64) { set(new) }
    func record(_ new: Double) { set(new) }

    func render(name: String, labels: String, into text: inout String) {
        text += PrometheusText.line(name, labels, value: PrometheusText.number(value.withLock { $0 }))
    }
}

final class PrometheusHistogram: TimerHandler, RecorderHandler, PrometheusSeries {
    /// From half a millisecond to a minute.
    static let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    static let values = (0...15).map { Double(1 << (2 * $0)) }

    private struct State {
        var counts: [UInt64]
        var sum = 0.0
        var count: UInt64 = 0
    }
    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count)))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1_000_000_000) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 }
        state.withLock { state in
            if let bucket { state.counts[bucket] += 1 }
            state.sum += value
            state.count += 1
        }
    }

    func render(name: String, labels: String, into text: inout String) {
        let state = state.withLock { $0 }
        var total: UInt64 = 0
        for (bound, count) in zip(bounds, state.counts) {
            total += count
            text += PrometheusText.line(
                name + "_bucket", labels, "le=\"\(PrometheusText.number(bound))\"", value: "\(total)")
        }
        text += PrometheusText.line(name + "_bucket", labels, "le=\"+Inf\"", value: "\(state.count)")
        text += PrometheusText.line(name + "_sum", labels, value: PrometheusText.number(state.sum))
        text += PrometheusText.line(name + "_count", labels, value: "\(state.count)")
    }
}

public import CoreMetrics
internal import Synchronization

/// A backend of swift-metrics that renders the Prometheus text format (0.0.4).
///
/// Names are used as given, with characters that Prometheus does not allow replaced by `_`. Counters end in `_total`,
/// timers are histograms in seconds and end in `_seconds`; both are added where they are missing. Series are made on
/// first use and kept; callers must keep the values of dimensions few.
public final class PrometheusRegistry: MetricsFactory, Sendable {
    enum Kind: String {
        case counter, gauge, histogram
    }

    struct Family {
        let kind: Kind
        var series: [String: any PrometheusSeries] = [:]
    }

    private let families = Mutex<[String: Family]>([:])
    private let help: [String: String]

    /// - Parameter help: One line for each name, where there is something to say.
    public init(help: [String: String] = [:]) { self.help = help }

    /// A name that is taken by another kind gives a series that is not rendered: two kinds in one family are not valid.
    private func series<S: PrometheusSeries>(
        _ label: String, suffix: String, _ kind: Kind, _ dimensions: [(String, String)], _ make: () -> S
    ) -> S {
        var name = PrometheusText.name(label)
        if !name.hasSuffix(suffix) { name += suffix }
        let labels = PrometheusText.labels(dimensions)
        return families.withLock { families in
            if let known = families[name] {
                if let series = known.series[labels] as? S { return series }
                let series = make()
                if known.kind == kind, known.series[labels] == nil { families[name]?.series[labels] = series }
                return series
            }
            let series = make()
            families[name] = Family(kind: kind, series: [labels: series])
            return series
        }
    }

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, suffix: "_total", .counter, dimensions) { PrometheusCounter() }
    }

    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, suffix: "_total", .counter, dimensions) { PrometheusCounter() }
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, suffix: "", .gauge, dimensions) { PrometheusGauge() }
    }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return series(label, suffix: "", .gauge, dimensions) { PrometheusGauge() } }
        return series(label, suffix: "", .histogram, dimensions) {
            PrometheusHistogram(bounds: PrometheusHistogram.values)
        }
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, suffix: "_seconds", .histogram, dimensions) {
            PrometheusHistogram(bounds: PrometheusHistogram.seconds)
        }
    }

    // Series live as long as the process: Prometheus reads a counter that vanishes and returns as a reset.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    /// The text of `/metrics`, sorted.
    public func render() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            if let help = help[name] { text += "# HELP \(name) \(PrometheusText.escapedHelp(help))\n" }
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.render(name: name, labels: labels, into: &text)
            }
        }
        return text
    }
}

protocol PrometheusSeries: AnyObject, Sendable {
    func render(name: String, labels: String, into text: inout String)
}

enum PrometheusText {
    static func name(_ label: String) -> String { sanitized(label, allowingColon: true) }

    private static func sanitized(_ text: String, allowingColon: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
            let isDigit = ("0"..."9").contains(scalar)
            if isLetter || (isDigit && !result.isEmpty) || (allowingColon && scalar == ":") {
                result.unicodeScalars.append(scalar)
            } else {
                result += isDigit ? "_\(scalar)" : "_"
            }
        }
        return result.isEmpty ? "_" : result
    }

    /// `key="value",…` without braces, sorted by key.
    static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.map { "\(sanitized($0.0, allowingColon: false))=\"\(escapedValue($0.1))\"" }.sorted().joined(
            separator: ",")
    }

    private static func escapedValue(_ text: String) -> String {
        escapedHelp(text).split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
    }

    static func escapedHelp(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func line(_ name: String, _ labels: String, _ extra: String = "", value: String) -> String {
        let all = [labels, extra].filter { !$0.isEmpty }.joined(separator: ",")
        return all.isEmpty ? "\(name) \(value)\n" : "\(name){\(all)} \(value)\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && value.magnitude < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}

internal import SandboxModel

/// One line of the bench's table.
struct BenchRow: Encodable, Sendable {
    /// What the numbers count.
    enum Unit: String, Encodable, Sendable {
        case milliseconds = "ms"
        case megabytesPerSecond = "MB/s"
        case perSecond = "/s"
        case mebibytes = "MiB"
        case percentOfCore = "% of a core"
    }

    struct Figures: Encodable, Sendable {
        var samples: Int
        var p50: Double
        var p99: Double
        var max: Double

        init(_ samples: Samples) {
            self.samples = samples.count
            p50 = samples.percentile(50)
            p99 = samples.percentile(99)
            max = samples.maximum
        }
    }

    /// What a row is held to.
    enum Bar: Sendable {
        /// p50 at most so many times the baseline's p50.
        case ratio(Double)
        /// p50 below so much.
        case below(Double)
        /// p50 at least so much.
        case atLeast(Double)
        /// p99 below so much.
        case tailBelow(Double)
        /// p99 below so many times p50.
        case spread(Double)
        /// Shown, not judged.
        case none
    }

    var what: String
    var unit: Unit
    var figures: Figures
    var baseline: String?
    var baselineFigures: Figures?
    var ratio: Double?
    /// Other baselines of the same run, to which no bar refers.
    var others: [Comparison] = []
    var bar: String
    var passes: Bool

    enum CodingKeys: String, CodingKey {
        case what, unit, figures, baseline
        case baselineFigures = "baseline_figures"
        case ratio, others, bar, passes
    }

    struct Comparison: Encodable, Sendable {
        var name: String
        var figures: Figures
        var ratio: Double
    }

    init(
        _ what: String, _ samples: Samples, _ unit: Unit = .milliseconds,
        against baseline: (name: String, samples: Samples)? = nil,
        and others: [(name: String, samples: Samples)] = [], bar: Bar
    ) {
        self.what = what
        self.unit = unit
        figures = Figures(samples)
        self.baseline = baseline?.name
        baselineFigures = baseline.map { Figures($0.samples) }
        ratio = baseline.map { samples.median / $0.samples.median }
        self.others = others.map { other in
            Comparison(
                name: other.name, figures: Figures(other.samples), ratio: samples.median / other.samples.median)
        }
        (self.bar, passes) = Self.judge(bar, figures, unit, ratio)
    }

    private static func judge(_ bar: Bar, _ figures: Figures, _ unit: Unit, _ ratio: Double?) -> (String, Bool) {
        switch bar {
        case .ratio(let limit): ("p50 ≤ \(number(limit)) × baseline", (ratio ?? .infinity) <= limit)
        case .below(let limit): ("p50 < \(number(limit)) \(unit.rawValue)", figures.p50 < limit)
        case .atLeast(let limit): ("p50 ≥ \(number(limit)) \(unit.rawValue)", figures.p50 >= limit)
        case .tailBelow(let limit): ("p99 < \(number(limit)) \(unit.rawValue)", figures.p99 < limit)
        case .spread(let limit): ("p99 < \(number(limit)) × p50", figures.p99 < limit * figures.p50)
        case .none: ("", true)
        }
    }

    static func table(_ rows: [BenchRow]) -> String {
        var lines: [[String]] = []
        for row in rows {
            let verdict = row.bar.isEmpty ? "" : row.passes ? "pass" : "FAIL"
            lines.append(
                [row.what] + cells(row.figures) + [row.unit.rawValue, row.ratio.map { number($0) + " ×" } ?? ""]
                    + [row.bar, verdict])
            if let name = row.baseline, let figures = row.baselineFigures {
                lines.append(["  against \(name)"] + cells(figures) + ["", "", "", ""])
            }
            for other in row.others {
                lines.append(
                    ["  and \(other.name)"] + cells(other.figures) + ["", number(other.ratio) + " ×", "", ""])
            }
        }
        return Output.table(["WHAT", "SAMPLES", "P50", "P99", "MAX", "UNIT", "RATIO", "BAR", ""], lines)
    }

    private static func cells(_ figures: Figures) -> [String] {
        ["\(figures.samples)", number(figures.p50), number(figures.p99), number(figures.max)]
    }

    /// Two decimals below 100, none from there on; no needless zeros.
    private static func number(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let shown = value < 100 ? (value * 100).rounded() / 100 : value.rounded()
        return shown == shown.rounded() && abs(shown) < 1e15 ? "\(Int(shown))" : "\(shown)"
    }
}

internal import SandboxModel

/// One line of the bench's table.
struct BenchRow: Encodable, Sendable {
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

    enum Bar: Sendable {
        /// p50 at most so many times the baseline's p50.
        case ratio(Double)
        /// p50 below so many milliseconds.
        case milliseconds(Double)
    }

    var what: String
    var milliseconds: Figures
    var baseline: String?
    var baselineMilliseconds: Figures?
    var ratio: Double?
    var bar: String
    var passes: Bool

    enum CodingKeys: String, CodingKey {
        case what, milliseconds, baseline
        case baselineMilliseconds = "baseline_milliseconds"
        case ratio, bar, passes
    }

    init(_ what: String, _ samples: Samples, against baseline: (name: String, samples: Samples)? = nil, bar: Bar) {
        self.what = what
        milliseconds = Figures(samples)
        self.baseline = baseline?.name
        baselineMilliseconds = baseline.map { Figures($0.samples) }
        ratio = baseline.map { samples.median / $0.samples.median }
        switch bar {
        case .ratio(let limit):
            self.bar = "p50 ≤ \(limit) × baseline"
            passes = (ratio ?? .infinity) <= limit
        case .milliseconds(let limit):
            self.bar = "p50 < \(Int(limit)) ms"
            passes = samples.median < limit
        }
    }

    static func table(_ rows: [BenchRow]) -> String {
        var lines: [[String]] = []
        for row in rows {
            lines.append(
                [row.what] + cells(row.milliseconds) + [row.ratio.map { number($0) + " ×" } ?? "", row.bar]
                    + [row.passes ? "pass" : "FAIL"])
            if let name = row.baseline, let figures = row.baselineMilliseconds {
                lines.append(["  against \(name)"] + cells(figures) + ["", "", ""])
            }
        }
        return Output.table(["WHAT", "SAMPLES", "P50 ms", "P99 ms", "MAX ms", "RATIO", "BAR", ""], lines)
    }

    private static func cells(_ figures: Figures) -> [String] {
        ["\(figures.samples)", number(figures.p50), number(figures.p99), number(figures.max)]
    }

    private static func number(_ value: Double) -> String { String(Double(Int(value * 100)) / 100) }
}

import CoreMetrics
import Logging
import SandboxModel
import Testing

@testable import HTTPKit

@Suite struct PrometheusTests {
    @Test func `each kind is rendered with its type, sorted`() {
        let registry = PrometheusRegistry(help: ["nightjar_b": "A\\gauge\nhere"])
        registry.makeMeter(label: "nightjar_b", dimensions: []).set(2.5)
        let counter = registry.makeCounter(label: "nightjar_a", dimensions: [("k", "v"), ("b", "w")])
        counter.increment(by: 3)
        counter.increment(by: -5)
        #expect(
            registry.render() == """
                # TYPE nightjar_a_total counter
                nightjar_a_total{b="w",k="v"} 3
                # HELP nightjar_b A\\\\gauge\\nhere
                # TYPE nightjar_b gauge
                nightjar_b 2.5

                """)
    }

    @Test func `equal names and labels share a series`() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "x_total", dimensions: [("a", "1"), ("b", "2")]).increment(by: 1)
        registry.makeCounter(label: "x_total", dimensions: [("b", "2"), ("a", "1")]).increment(by: 1)
        #expect(registry.render().contains("x_total{a=\"1\",b=\"2\"} 2\n"))
    }

    @Test func `label values and names are escaped`() {
        let registry = PrometheusRegistry()
        registry.makeMeter(label: "9 a.b", dimensions: [("x-y", "q\"\\\n")]).set(Int64(1))
        #expect(registry.render().contains("_9_a_b{x_y=\"q\\\"\\\\\\n\"} 1\n"))
    }

    @Test func `a histogram's buckets are cumulative and end with all`() {
        let registry = PrometheusRegistry()
        let timer = registry.makeTimer(label: "t", dimensions: [("r", "x")])
        timer.recordNanoseconds(1_000_000)
        timer.recordNanoseconds(2_000_000)
        timer.recordNanoseconds(100_000_000_000)
        let text = registry.render()
        #expect(text.contains("# TYPE t_seconds histogram\n"))
        #expect(text.contains("t_seconds_bucket{r=\"x\",le=\"0.0005\"} 0\n"))
        #expect(text.contains("t_seconds_bucket{r=\"x\",le=\"0.001\"} 1\n"))
        #expect(text.contains("t_seconds_bucket{r=\"x\",le=\"60\"} 2\n"))
        #expect(text.contains("t_seconds_bucket{r=\"x\",le=\"+Inf\"} 3\n"))
        #expect(text.contains("t_seconds_sum{r=\"x\"} 100.003\n"))
        #expect(text.contains("t_seconds_count{r=\"x\"} 3\n"))
    }

    @Test func `a name that another kind has taken does not spoil the text`() {
        let registry = PrometheusRegistry()
        registry.makeMeter(label: "x_total", dimensions: []).set(Int64(1))
        registry.makeCounter(label: "x", dimensions: []).increment(by: 7)
        #expect(registry.render() == "# TYPE x_total gauge\nx_total 1\n")
    }
}

@Suite struct LogTests {
    private let time = Timestamp(unixNanoseconds: 1_700_000_000_123_456_789)

    @Test func `a text line quotes what would be ambiguous`() {
        let line = LineLogHandler.line(
            at: time, level: .info, label: "l", message: "two\nlines", ["b": "x y", "a": "plain", "c": ""], .text)
        #expect(line == "2023-11-14T22:13:20.123456Z INFO l two\\nlines a=plain b=\"x y\" c=\"\"\n")
    }

    @Test func `a JSON line is one object whatever is in it`() throws {
        let line = LineLogHandler.line(
            at: time, level: .error, label: "l", message: "q\"\u{1}\\", ["message": "mine", "k": "é"], .json)
        let fields = try StrictJSON.decode([String: String].self, from: Array(line.utf8))
        #expect(fields["message"] == "q\"\u{1}\\")
        #expect(fields["_message"] == "mine")
        #expect(fields["k"] == "é")
        #expect(fields["level"] == "error")
        #expect(line.filter { $0 == "\n" }.count == 1)
    }

    @Test func `dates look as RFC 9110 wants`() {
        #expect(HTTPDate.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    }
}

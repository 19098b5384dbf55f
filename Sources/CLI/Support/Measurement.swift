internal import Foundation

/// Figures of one kind: mostly times, in milliseconds.
struct Samples: Sendable {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }
    mutating func add(_ others: Samples) { values += others.values }

    var count: Int { values.count }
    var maximum: Double { values.max() ?? .nan }
    var median: Double { percentile(50) }

    /// The smallest value that at least `share` percent of the values do not exceed.
    func percentile(_ share: Double) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        let rank = Int((share / 100 * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }
}

/// Runs `body` and tells how many milliseconds it took.
func timed<R>(_ body: () async throws -> R) async throws -> (result: R, milliseconds: Double) {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try await body()
    return (result, (clock.now - start).milliseconds)
}

extension Duration {
    var milliseconds: Double { Double(components.seconds) * 1000 + Double(components.attoseconds) / 1e15 }
}

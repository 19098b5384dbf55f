import Faults
import Foundation

/// What a server is told to do at its steps.
struct StepOrders {
    let path: String

    /// Replaces what was ordered before.
    func give(_ order: String) throws { try give([order]) }

    /// Replaces what was ordered before.
    func give(_ orders: [String]) throws {
        let text = orders.map { $0 + "\n" }.joined()
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        try? FileManager.default.removeItem(atPath: path + ".met")
    }

    func clear() { try? FileManager.default.removeItem(atPath: path) }

    /// Whether an order for the step was carried out.
    func isMet(_ step: Step) -> Bool {
        let text = (try? String(contentsOfFile: path + ".met", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").contains { $0 == step.rawValue }
    }
}

extension Step {
    /// The name in the source.
    var caseName: String { "\(self)" }

    /// Steps that may fail, as their places in the sources say; at the others a server can only end.
    static let fallible: Set<Step> = {
        var names: Set<String> = []
        let sources = TestEnvironment.root + "/Sources"
        let files = FileManager.default.enumerator(atPath: sources)
        while let file = files?.nextObject() as? String {
            guard file.hasSuffix(".swift"),
                let text = try? String(contentsOfFile: "\(sources)/\(file)", encoding: .utf8)
            else { continue }
            for match in text.matches(of: /Step\.(\w+)\.reached\(\)/) { names.insert(String(match.1)) }
        }
        return Set(allCases.filter { names.contains($0.caseName) })
    }()
}

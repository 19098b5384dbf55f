import Faults
import SandboxModel
import Synchronization
import Testing

extension EndToEnd {
    @Suite struct Steps {
        /// What is still to be done, one kind of way after the other.
        private final class Work: Sendable {
            private let waiting: Mutex<[[(Step, StepScenario)]]>

            init(_ pairs: [(Step, StepScenario)]) {
                let groups = Dictionary(grouping: pairs) { $0.1 }.values.map { Array($0) }
                // The longest first, so that all lanes end at about the same time.
                waiting = Mutex(groups.sorted { $0.count < $1.count })
            }

            func next() -> [(Step, StepScenario)]? { waiting.withLock { $0.popLast() } }
        }

        private static let lanes = 3

        @Test func `every step has a way that leads past it`() {
            let lost = Step.allCases.filter { $0.scenarios.isEmpty }
            #expect(lost.isEmpty, "give them a scenario in StepScenario.swift")
        }

        @Test(.timeLimit(.minutes(10)))
        func `a server that is killed at any step has lost nothing that it acknowledged`() async throws {
            try await goThrough(Step.allCases, .kill)
        }

        @Test(.enabled(if: TestEnvironment.runsLong), .timeLimit(.minutes(10)))
        func `a fault at any step is told, and neither loses nor leaks anything`() async throws {
            try await goThrough(Step.allCases.filter { Step.fallible.contains($0) }, .fail)
        }

        private func goThrough(_ steps: [Step], _ order: StepLane.Order) async throws {
            let work = Work(steps.flatMap { step in step.scenarios.map { (step, $0) } })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.lanes {
                    group.addTask {
                        try await TestServer.with(variables: StepLane.variables) { server in
                            let lane = StepLane(server)
                            while let group = work.next() {
                                for (step, scenario) in group { try await lane.run(step, scenario, order) }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}

import Testing

@testable import MachineMemory

@Suite struct MemoryPlanTests {
    private typealias Extent = MemoryDifference.Extent

    private func states(_ pages: Int, different: [Range<Int>]) -> PageStates {
        let states = PageStates(pages: pages)
        for range in different { states.states[range].update(repeating: PageStates.different) }
        return states
    }

    @Test func `small gaps are joined, and then the smallest until there are few enough`() {
        #expect(MemoryPlan.merged([]) == [])
        #expect(MemoryPlan.merged([0..<1, 8..<9, 17..<18]) == [0..<9, 17..<18])
        let apart = (0..<100).map { $0 * 1000..<$0 * 1000 + 1 + $0 }
        let few = MemoryPlan.merged(apart, most: 10)
        #expect(few.count <= 10 && few.first == 0..<1 && few.last?.upperBound == 99_100)
        let even = MemoryPlan.merged((0..<20_000).map { $0 * 10..<$0 * 10 + 1 })
        #expect(even.count <= MemoryPlan.mostRuns)
    }

    @Test func `contents follow each other in the file, and long runs of zeros are not stored`() {
        let states = states(4096, different: [10..<20, 1000..<1400])
        let plan = MemoryPlan(states)
        #expect(plan.runs == [.init(pages: 10..<20, file: page), .init(pages: 1000..<1400, file: 11 * page)])
        #expect(plan.tableOffset == 411 * page)
        states.states[12..<14].update(repeating: PageStates.foundZero)
        states.states[1100..<1300].update(repeating: PageStates.foundZero)
        #expect(
            plan.extents(states) == [
                Extent(memory: 10 * page, length: 10 * page, file: page),
                Extent(memory: 1000 * page, length: 100 * page, file: 11 * page),
                Extent(memory: 1100 * page, length: 200 * page, file: nil),
                Extent(memory: 1300 * page, length: 100 * page, file: 311 * page),
            ])
    }

    @Test func `what an earlier difference had is kept, and what was written since wins`() {
        let states = states(1000, different: [105..<106])
        states.mark(
            MemoryDifference(
                memorySize: 1000 * page, base: someBase,
                extents: [
                    Extent(memory: 0, length: 4 * page, file: page),
                    Extent(memory: 100 * page, length: 100 * page, file: nil),
                ]))
        #expect(
            MemoryPlan(states).extents(states) == [
                Extent(memory: 0, length: 4 * page, file: page),
                Extent(memory: 100 * page, length: 5 * page, file: nil),
                Extent(memory: 105 * page, length: page, file: 5 * page),
                Extent(memory: 106 * page, length: 94 * page, file: nil),
            ])
    }

    @Test func `no pattern of pages makes more extents than a process may have mappings`() {
        let pages = 1 << 18
        for period in [2, 9, 16, 65, 130, 300] {
            let states = PageStates(pages: pages)
            for number in 0..<pages / period { states.states[number * period] = PageStates.different }
            states.mark(
                MemoryDifference(
                    memorySize: pages * page, base: someBase,
                    extents: stride(from: 0, to: pages, by: 20).map {
                        Extent(memory: $0 * page, length: page, file: nil)
                    }))
            let plan = MemoryPlan(states)
            for run in plan.runs {
                for start in stride(from: run.pages.lowerBound + 1, to: run.pages.upperBound - 70, by: 66) {
                    states.states[start..<start + 65].update(repeating: PageStates.foundZero)
                }
            }
            let extents = plan.extents(states)
            #expect(!extents.isEmpty && extents.count < MemoryDifference.mostExtents, "every \(period)th page")
        }
    }
}

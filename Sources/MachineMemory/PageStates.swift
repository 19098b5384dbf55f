internal import CLinux
internal import LinuxSystem
internal import SandboxModel

/// What is known of each page of a machine's memory. One byte each: gigabytes have hundreds of thousands of pages, and
/// several threads look at different ones.
final class PageStates: @unchecked Sendable {
    // Disjoint parts are written by one thread each; a task group is between the steps.
    let states: UnsafeMutableBufferPointer<UInt8>

    static let template: UInt8 = 0
    /// To be read, and stored.
    static let different: UInt8 = 1
    /// Zeros since an earlier difference, and not touched since.
    static let knownZero: UInt8 = 2
    /// Read, and found to be zeros.
    static let foundZero: UInt8 = 3

    init(pages: Int) {
        states = .allocate(capacity: pages)
        states.initialize(repeating: Self.template)
    }

    deinit { states.deallocate() }

    var count: Int { states.count }

    /// Marks what the machine did not take from its template when it was woken. After the scan.
    func mark(_ previous: MemoryDifference) {
        for extent in previous.extents {
            let first = extent.memory / MemoryDifference.page
            let pages = first..<first + extent.length / MemoryDifference.page
            if extent.file != nil {
                states[pages].update(repeating: Self.different)
            } else {
                for page in pages where states[page] == Self.template { states[page] = Self.knownZero }
            }
        }
    }

    /// Runs of equal states, in order.
    func runs(in range: Range<Int>) -> [(state: UInt8, pages: Range<Int>)] {
        var runs: [(UInt8, Range<Int>)] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = nj_memory_run_end(states.baseAddress, start, range.upperBound)
            runs.append((states[start], start..<end))
            start = end
        }
        return runs
    }
}

/// Where the pages that have to be stored go, before it is known which of them are zeros.
struct MemoryPlan: Sendable {
    /// Runs with a smaller gap are one: storing a page costs less than a mapping.
    static let smallestGap = 8
    static let mostRuns = 4000
    static let mostKnownZeroRuns = 2000
    /// Fewer zero pages in a row stay holes of an extent.
    static let smallestZeroRun = 64

    struct Run: Sendable, Hashable {
        var pages: Range<Int>
        /// In bytes.
        var file: Int
    }

    var runs: [Run] = []
    /// In bytes.
    var tableOffset = MemoryDifference.page

    /// Plans for what is marked in `states`, which is changed where that makes for fewer extents.
    init(_ states: PageStates) {
        var found = states.runs(in: 0..<states.count)
        if found.count(where: { $0.state == PageStates.knownZero }) > Self.mostKnownZeroRuns {
            for run in found where run.state == PageStates.knownZero {
                states.states[run.pages].update(repeating: PageStates.different)
            }
            found = states.runs(in: 0..<states.count)
        }
        let different = found.filter { $0.state == PageStates.different }.map(\.pages)
        for pages in Self.merged(different) {
            runs.append(Run(pages: pages, file: tableOffset))
            tableOffset += pages.count * MemoryDifference.page
        }
    }

    /// Joins neighbours with small gaps, and then those with the smallest gaps until there are few enough.
    static func merged(_ runs: [Range<Int>], most: Int = mostRuns) -> [Range<Int>] {
        let gaps = zip(runs, runs.dropFirst()).map { $1.lowerBound - $0.upperBound }
        var bound = smallestGap - 1
        if gaps.count(where: { $0 > bound }) >= most {
            // At most `most - 1` gaps may be left.
            bound = gaps.sorted(by: >)[most - 1]
        }
        var result: [Range<Int>] = []
        for run in runs {
            if let last = result.last, run.lowerBound - last.upperBound <= bound {
                result[result.count - 1] = last.lowerBound..<run.upperBound
            } else {
                result.append(run)
            }
        }
        return result
    }

    /// The table, once zeros are known.
    func extents(_ states: PageStates) -> [MemoryDifference.Extent] {
        let page = MemoryDifference.page
        // At most some thousand runs of zeros, however large the memory is.
        let smallest = max(Self.smallestZeroRun, states.count / 4096)
        var extents: [MemoryDifference.Extent] = []
        var next = 0
        for run in runs {
            extents += Self.knownZeros(states, next..<run.pages.lowerBound)
            next = run.pages.upperBound
            var start = run.pages.lowerBound
            func store(until end: Int) {
                guard end > start else { return }
                let file = run.file + (start - run.pages.lowerBound) * page
                extents.append(.init(memory: start * page, length: (end - start) * page, file: file))
            }
            for (state, pages) in states.runs(in: run.pages)
            where state == PageStates.foundZero && pages.count >= smallest {
                store(until: pages.lowerBound)
                extents.append(.init(memory: pages.lowerBound * page, length: pages.count * page, file: nil))
                start = pages.upperBound
            }
            store(until: run.pages.upperBound)
        }
        return extents + Self.knownZeros(states, next..<states.count)
    }

    private static func knownZeros(_ states: PageStates, _ pages: Range<Int>) -> [MemoryDifference.Extent] {
        let page = MemoryDifference.page
        return states.runs(in: pages).filter { $0.state == PageStates.knownZero }.map {
            .init(memory: $0.pages.lowerBound * page, length: $0.pages.count * page, file: nil)
        }
    }
}

internal import Client
internal import Foundation
internal import SandboxModel

// What many callers at once get.
extension Bench {
    private static let clients = 16

    /// Commands from many clients at once, in one sandbox and in as many sandboxes.
    func concurrentExecs() async throws -> [BenchRow] {
        var rows: [BenchRow] = []
        for spread in [false, true] {
            var sandboxes: [String] = []
            for _ in 0..<(spread ? Self.clients : 1) { sandboxes.append(try await create()) }
            for sandbox in sandboxes { try await runTrue(sandbox) }
            let what = spread ? "in \(Self.clients) sandboxes" : "in one sandbox"
            tell("1,000 execs \(what)")
            let latencies = try await execs(1000, in: sandboxes)
            rows.append(BenchRow("exec, \(Self.clients) clients \(what)", latencies, bar: .spread(10)))
            for sandbox in sandboxes { try await client.delete(sandbox) }
        }
        return rows
    }

    private func execs(_ count: Int, in sandboxes: [String]) async throws -> Samples {
        try await withThrowingTaskGroup(of: Samples.self) { group in
            for number in 0..<Self.clients {
                let sandbox = sandboxes[number % sandboxes.count]
                let share = count / Self.clients + (number < count % Self.clients ? 1 : 0)
                group.addTask {
                    var samples = Samples()
                    for _ in 0..<share { samples.add(try await timed { try await runTrue(sandbox) }.milliseconds) }
                    return samples
                }
            }
            var all = Samples()
            for try await samples in group { all.add(samples) }
            guard all.count == count else {
                throw SandboxError(.internalError, "\(count - all.count) of \(count) commands were lost.")
            }
            return all
        }
    }

    /// Many creations at once, and then as many wakes at once, against one after the other.
    ///
    /// With limits that nothing was booted ahead for: what is measured is the making of sandboxes.
    func bursts(of count: Int = 100) async throws -> [BenchRow] {
        let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
        tell("creations one after the other")
        var singles = Samples()
        for number in 0..<12 {
            let made = try await timed { try await create(unusual: true) }
            // What was prepared before is used up by the first ones.
            if number >= 4 { singles.add(made.milliseconds) }
            try await client.delete(made.result)
        }
        tell("\(count) creations at once")
        let (sandboxes, creations) = try await atOnce(count) { _ in try await create(unusual: true) }
        tell("\(count) standbys")
        for sandbox in sandboxes { _ = try await client.standby(sandbox) }
        tell("wakes one after the other")
        var wakes = Samples()
        for (number, sandbox) in sandboxes.prefix(12).enumerated() {
            let time = try await timed { try await client.resume(sandbox) }.milliseconds
            if number >= 4 { wakes.add(time) }
        }
        for sandbox in sandboxes.prefix(12) { _ = try await client.standby(sandbox) }
        tell("\(count) wakes at once")
        let (_, resumptions) = try await atOnce(count) { try await client.resume(sandboxes[$0]) }
        _ = try await atOnce(count) { try await client.delete(sandboxes[$0]) }
        return row("create", count, cores, singles, creations) + row("wake from disk", count, cores, wakes, resumptions)
    }

    private struct Burst {
        var latencies = Samples()
        var wall = Samples()
    }

    private func atOnce<R: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) async throws -> R
    ) async throws -> ([R], Burst) {
        var burst = Burst()
        var results: [R] = []
        let whole = try await timed {
            try await withThrowingTaskGroup(of: (R, Double).self) { group in
                for number in 0..<count {
                    group.addTask {
                        let (result, time) = try await timed { try await body(number) }
                        return (result, time)
                    }
                }
                for try await (result, time) in group {
                    results.append(result)
                    burst.latencies.add(time)
                }
            }
        }
        burst.wall.add(whole.milliseconds)
        return (results, burst)
    }

    private func row(_ what: String, _ count: Int, _ cores: Double, _ singles: Samples, _ burst: Burst) -> [BenchRow] {
        var ideal = Samples()
        ideal.add(singles.median * Double(count) / cores)
        return [
            BenchRow("\(what), one after the other", singles, bar: .none),
            BenchRow("\(what), \(count) at once: each", burst.latencies, bar: .none),
            BenchRow(
                "\(what), \(count) at once: all", burst.wall,
                against: ("single × \(count) / \(Int(cores)) cores", ideal), bar: .ratio(1.3)),
        ]
    }

    /// `GET` of one sandbox on many connections.
    func apiThroughput() async throws -> [BenchRow] {
        let sandbox = try await create()
        tell("GET of a sandbox on 64 connections")
        let load = LoadGenerator(client.configuration, path: "/v1/sandboxes/\(sandbox)", connections: 64)
        let outcome = try await load.run(warmUp: 2, seconds: 10)
        try await client.delete(sandbox)
        return [
            BenchRow("GET a sandbox, 64 connections: each second", outcome.rates, .perSecond, bar: .atLeast(10_000)),
            BenchRow("GET a sandbox, 64 connections: each request", outcome.latencies, bar: .tailBelow(20)),
        ]
    }

    /// A file of 100 MB in and out.
    func files() async throws -> [BenchRow] {
        let sandbox = try await create()
        let size = 100_000_000
        var generator = SystemRandomNumberGenerator()
        let block = (0..<(size / 8 / 100)).flatMap { _ in
            withUnsafeBytes(of: generator.next()) { Array($0) }
        }
        let bytes = Array((0..<100).map { _ in block }.joined())
        var (writes, reads) = (Samples(), Samples())
        try await rounds("a file of 100 MB", of: 10) { counts in
            let write = try await timed { try await client.write(sandbox, "/home/bench", bytes: bytes) }.milliseconds
            let read = try await timed {
                var count = 0
                for try await piece in try await client.read(sandbox, "/home/bench").content { count += piece.count }
                return count
            }
            guard read.result == bytes.count else {
                throw SandboxError(.internalError, "\(read.result) of \(bytes.count) bytes were read.")
            }
            if counts {
                writes.add(Double(size) / write / 1000)
                reads.add(Double(size) / read.milliseconds / 1000)
            }
        }
        try await client.delete(sandbox)
        return [
            BenchRow("write a file of 100 MB", writes, .megabytesPerSecond, bar: .atLeast(200)),
            BenchRow("read a file of 100 MB", reads, .megabytesPerSecond, bar: .atLeast(200)),
        ]
    }

    /// What idle sandboxes occupy: the proportional share of each page that is in memory.
    func memory(of count: Int = 30) async throws -> [BenchRow] {
        tell("\(count) idle sandboxes")
        var sandboxes: [String] = []
        for _ in 0..<count { sandboxes.append(try await create()) }
        for sandbox in sandboxes { try await runTrue(sandbox) }
        try await Task.sleep(for: .seconds(3))
        var (shares, resident, own) = (Samples(), Samples(), Samples())
        for sandbox in sandboxes {
            let pages = HostView.pages(of: sandbox)
            shares.add(Double(pages.proportional) / 1024)
            resident.add(Double(pages.resident) / 1024)
            own.add(Double(pages.own) / 1024)
        }
        let use = try await idleUse(of: sandboxes, seconds: 10)
        for sandbox in sandboxes { try await client.delete(sandbox) }
        return [
            BenchRow("idle sandbox, one of \(count): PSS", shares, .mebibytes, bar: .none),
            BenchRow("  pages that it shares with nobody", own, .mebibytes, bar: .none),
            BenchRow("  RSS, shared pages counted in each process", resident, .mebibytes, bar: .none),
            BenchRow("  CPU", use, .percentOfCore, bar: .none),
        ]
    }

    /// What sandboxes use of the CPU when nobody uses them.
    private func idleUse(of sandboxes: [String], seconds: Double) async throws -> Samples {
        let before = sandboxes.map(HostView.cpuSeconds)
        let time = try await timed { try await Task.sleep(for: .seconds(seconds)) }.milliseconds / 1000
        var use = Samples()
        for (former, now) in zip(before, sandboxes.map(HostView.cpuSeconds)) {
            use.add(max(0, now - former) / time * 100)
        }
        return use
    }

    /// Standby, from the request to the end of the processes: the image is on the device by then, which runsc's is not.
    func standby(mebibytes: Int) async throws -> BenchRow {
        let sandbox = try await create()
        try await touchMemory(sandbox, mebibytes: mebibytes)
        var (ours, theirs, synced) = (Samples(), Samples(), Samples())
        try await rounds("standby with \(mebibytes) MiB", of: mebibytes > 100 ? min(samples, 20) : nil) { counts in
            let time = try await timed { try await client.standby(sandbox) }.milliseconds
            try await runTrue(sandbox)
            try await baseline.startTouching("checkpoint", mebibytes: mebibytes)
            let other = try await baseline.checkpoint("checkpoint")
            _ = try await baseline.delete("checkpoint")
            if counts {
                ours.add(time)
                theirs.add(other.milliseconds)
                synced.add(other.milliseconds + other.sync)
            }
        }
        try await client.delete(sandbox)
        return BenchRow(
            "standby, \(mebibytes) MiB touched, durable", ours, against: ("runsc checkpoint, not durable", theirs),
            and: [("runsc checkpoint and an fsync of its files", synced)], bar: .ratio(0.8))
    }
}

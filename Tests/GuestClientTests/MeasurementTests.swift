import GuestClient
import Testing
import Wire

/// Prints what the session adds in time; asserts only that the bytes are right. Meant for release builds.
@Suite(
    .enabled(if: RealInit.isAvailable, "needs root and a built nightjar-init (NIGHTJAR_INIT)"), .serialized,
    .timeLimit(.minutes(5)))
struct MeasurementTests {
    @Test func `latency of pings and of running true`() async throws {
        try await RealInit.with { _, session in
            var start = ProcessStart(arguments: ["/bin/true"])
            start.directory = "/"
            let pings = try await samples(2000) { try await session.ping(deadline: .seconds(60)) }
            let runs = try await samples(500) {
                let result = try await session.run(start, input: nil, outputLimit: 100)
                #expect(result.exit.code == 0)
            }
            print("ping: \(summary(pings))\nrun /bin/true: \(summary(runs))")
        }
    }

    @Test func `throughput of 50 MB each way`() async throws {
        try await RealInit.with { guest, session in
            let path = Array("\(guest.directory)/large".utf8)
            let piece = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let count = 800
            let body = AsyncStream { continuation in
                for _ in 0..<count { continuation.yield(piece) }
                continuation.finish()
            }
            let writing = try await ContinuousClock().measure {
                let info = try await session.write(FileWrite(path: path), body: body)
                #expect(info.size == Int64(count * piece.count))
            }
            var isSame = true
            let reading = try await ContinuousClock().measure {
                var position = 0
                for try await bytes in try await session.read(path, offset: 0, length: -1) {
                    let start = position % piece.count
                    isSame =
                        isSame
                        && (start + bytes.count > piece.count || Array(piece[start..<(start + bytes.count)]) == bytes)
                    position += bytes.count
                }
                #expect(position == count * piece.count)
            }
            #expect(isSame)
            let output = try await ContinuousClock().measure {
                let start = RealInit.shell("head -c 52428800 /dev/zero")
                let result = try await session.run(start, input: nil, outputLimit: 60 << 20)
                #expect(result.stdout.count == 52_428_800)
            }
            let size = Double(count * piece.count) / 1e6
            print("write \(rate(size, writing)), read \(rate(size, reading)), output \(rate(52.4, output)) (MB/s)")
        }
    }

    private func samples(_ count: Int, _ body: () async throws -> Void) async throws -> [Duration] {
        for _ in 0..<20 { try await body() }
        var all: [Duration] = []
        for _ in 0..<count { all.append(try await ContinuousClock().measure { try await body() }) }
        return all.sorted()
    }

    private func summary(_ sorted: [Duration]) -> String {
        func microseconds(_ duration: Duration) -> Int64 { duration.components.attoseconds / 1_000_000_000_000 }
        let p50 = microseconds(sorted[sorted.count / 2]), p99 = microseconds(sorted[sorted.count * 99 / 100])
        return "p50 \(p50) us, p99 \(p99) us, min \(microseconds(sorted[0])) us of \(sorted.count)"
    }

    private func rate(_ megabytes: Double, _ duration: Duration) -> Int {
        Int(megabytes / (Double(duration.components.attoseconds) / 1e18 + Double(duration.components.seconds)))
    }
}

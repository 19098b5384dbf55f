internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct BenchCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure against runsc used by hand, in the same run.",
        discussion: """
            Needs root, runsc, and a server on this machine. Samples of the server and of its baseline alternate. Keep the \
            machine quiet meanwhile.

              nightjar bench
              nightjar bench --samples 300 --only exec --only wake -o json
            """,
        shouldDisplay: false)

    enum Part: String, CaseIterable {
        case exec, tti, cold, pause, wake, delete, standby, execs, files, burst, api, memory

        static let names = allCases.map(\.rawValue).joined(separator: ", ")
    }

    @Option(help: "Samples of each kind.") var samples = 100
    @Option(help: "Rounds before those that count.") var warmUp = 10
    @Option(help: "Only this part (\(Part.names)); may be repeated.", transform: choice)
    var only: [Part] = []
    @Option(help: "The template of the sandboxes.") var template = "base"
    @Option(
        name: .customLong("data-dir"),
        help: "The server's data directory; the baseline runs on the same disk and root file system.")
    var dataDirectory = "/var/lib/nightjar"
    @Option(help: "The runsc to compare with.") var runsc = "runsc"
    @Flag(help: "Exit with 1 if a bar is missed.") var check = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    struct Result: Encodable {
        var rows: [BenchRow]
        var passes: Bool
    }

    func validate() throws {
        guard (1...100_000).contains(samples), (0...1000).contains(warmUp) else {
            throw ValidationError("--samples must be 1 to 100000, --warm-up 0 to 1000.")
        }
    }

    func run() async throws {
        guard geteuid() == 0 else { throw SandboxError(.permissionDenied, "runsc needs root.", hint: "use sudo") }
        let rootfs = URL(fileURLWithPath: "\(dataDirectory)/templates/\(template)/current/rootfs")
            .resolvingSymlinksInPath()
        guard FileManager.default.fileExists(atPath: rootfs.path) else {
            throw SandboxError(
                .templateNotFound, "There is no root file system at \(rootfs.path).",
                hint: "build it, or use --data-dir")
        }
        let directory = "\(dataDirectory)/bench-\(randomToken(8))"
        let baseline = try RunscBaseline(runsc: runsc, rootfs: rootfs.path, directory: directory)
        let rows = try await connection.withClient { client in
            let monitor = SignalMonitor([SIGINT, SIGTERM, SIGHUP])
            defer { monitor.end() }
            let tell: @Sendable (String) -> Void = { if TerminalMode.standardErrorIsTerminal { ErrorReport.write($0) } }
            let bench = Bench(
                client: client, baseline: baseline, samples: samples, warmUp: warmUp, template: template, tell: tell)
            let parts = only.isEmpty ? Part.allCases : only
            do {
                let rows = try await monitor.interrupting { try await Self.measure(parts, bench) }
                await Self.cleanUp(client, baseline)
                return rows
            } catch {
                await Self.cleanUp(client, baseline)
                throw error
            }
        }
        try report(rows)
    }

    private static func measure(_ parts: [Part], _ bench: Bench) async throws -> [BenchRow] {
        var rows: [BenchRow] = []
        for part in parts {
            switch part {
            case .exec: rows.append(try await bench.exec())
            case .tti: rows.append(try await bench.timeToInteractive())
            case .pause: rows += try await bench.pauseAndResume()
            case .wake: rows.append(try await bench.wake())
            case .cold: rows.append(try await bench.coldTimeToInteractive())
            case .delete: rows.append(try await bench.delete())
            case .standby:
                for mebibytes in [64, 512] { rows.append(try await bench.standby(mebibytes: mebibytes)) }
            case .execs: rows += try await bench.concurrentExecs()
            case .files: rows += try await bench.files()
            case .burst: rows += try await bench.bursts()
            case .api: rows += try await bench.apiThroughput()
            case .memory: rows += try await bench.memory()
            }
        }
        return rows
    }

    private static func cleanUp(_ client: NightjarClient, _ baseline: RunscBaseline) async {
        for sandbox in (try? await client.allSandboxes(labels: Bench.label)) ?? [] {
            try? await client.delete(sandbox.id.rawValue)
        }
        await baseline.end()
    }

    private func report(_ rows: [BenchRow]) throws {
        let passes = rows.allSatisfy(\.passes)
        if output.format == .json {
            try Output.resource(Result(rows: rows, passes: passes))
        } else {
            try Output.line(BenchRow.table(rows))
        }
        if check && !passes { throw ExitCode.failure }
    }
}

internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct DemoCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show, check and measure the main job on a sandbox of its own.",
        discussion: """
            A process that keeps state in memory falls asleep with its sandbox, leaves no process and no RAM on the host, \
            and goes on where it was when it is called. Exits with 1 if anything is not as promised.

              nightjar demo
              nightjar demo -o json
            """)

    @Option(help: "The template; it needs bash and python3.")
    var template = "base"
    @Option(help: "Seconds without use until it sleeps; short, so that the demonstration is short.")
    var idleTimeout: Double = 3
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let report = DemoReport(isSpoken: output.format == .table)
        let name = "demo-" + randomToken(8)
        let result = try await connection.withClient { client in
            let monitor = SignalMonitor([SIGINT, SIGTERM, SIGHUP])
            defer { monitor.end() }
            let demonstration = Demonstration(
                client: client, report: report, name: name, template: template, idleTimeout: idleTimeout,
                isLocal: Self.isLocal(client))
            do {
                return try await monitor.interrupting { try await demonstration.run() }
            } catch {
                try? await client.delete(name)
                throw error
            }
        }
        if output.format == .json { try Output.resource(result) } else { report.printTable() }
        guard result.holds else {
            ErrorReport.write("error: not everything was as promised; see above")
            throw ExitCode.failure
        }
    }

    private static func isLocal(_ client: NightjarClient) -> Bool {
        switch client.configuration.endpoint {
        case .unixSocket: true
        case .tcp(let host, _): ["127.0.0.1", "::1", "localhost"].contains(host)
        }
    }
}

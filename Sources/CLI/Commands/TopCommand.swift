internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct TopCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show what sandboxes use, again and again.",
        discussion: """
            CPU is a share of one core over the time between two looks; memory, processes and disk are those of now. \
            Looking neither wakes a sandbox nor keeps it awake. Ctrl-C ends it. Without a terminal, and with -o json, the \
            table is printed once.

              nightjar top
              nightjar top --once
              nightjar top --interval 5
            """)

    @Flag(help: "Print the table once, as it is over one interval.")
    var once = false
    @Option(help: "Seconds between two looks, 0.2 to 60.")
    var interval = 2.0
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (0.2...60).contains(interval) else { throw ValidationError("--interval must be between 0.2 and 60.") }
    }

    func run() async throws {
        try await connection.withClient { client in
            if once || output.format == .json || !TerminalMode.standardOutputIsTerminal {
                try await printOnce(client)
            } else {
                try await follow(client)
            }
        }
    }

    private func printOnce(_ client: NightjarClient) async throws {
        let before = try await Usage.now(client)
        try await Task.sleep(for: .seconds(min(interval, 1)))
        let rows = try await Usage.now(client).rows(since: before)
        if output.format == .json { try Output.resource(rows) } else { try Output.line(Usage.table(rows)) }
    }

    /// Draws on the terminal's second screen, so that what was there before comes back.
    private func follow(_ client: NightjarClient) async throws {
        let monitor = SignalMonitor([SIGINT, SIGTERM, SIGHUP])
        defer { monitor.end() }
        try put("\u{1B}[?1049h\u{1B}[?25l")
        defer { try? put("\u{1B}[?25h\u{1B}[?1049l") }
        do {
            let interval = interval
            try await monitor.interrupting {
                var before = try await Usage.now(client)
                while true {
                    let now = try await Usage.now(client)
                    try Self.draw(now.rows(since: before))
                    before = now
                    try await Task.sleep(for: .seconds(interval))
                }
            }
        } catch is CancellationError {
            // Ctrl-C is the way out.
        }
    }

    private static func draw(_ rows: [Usage.Row]) throws {
        let size = TerminalMode.size()
        let running = rows.filter { $0.state == .running }.count
        let memory = rows.reduce(0) { $0 + $1.memoryBytes }
        let head =
            "\(rows.count) sandboxes, \(running) running, "
            + "\(String(format: "%.0f%%", rows.reduce(0) { $0 + ($1.cpuPercent ?? 0) })) CPU, "
            + "\(Human.bytes(Int64(clamping: memory))) of memory    \(Timestamp.now)"
        var lines = [head, ""] + Usage.table(rows).split(separator: "\n").map(String.init)
        lines = lines.prefix(max(3, size.rows - 1)).map { String($0.prefix(size.columns)) }
        lines[2] = Style.bold.apply(lines[2], Style.onStandardOutput)
        // Line by line over what is there: nothing flickers.
        try put("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J")
    }
}

/// Writes to the terminal as it is.
private func put(_ text: String) throws {
    do {
        try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
        throw OutputClosed()
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct ProcessesCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "List the processes of a sandbox.",
        discussion: """
            Those that were started through the server, with their state; -a shows every process inside.

              nightjar ps work
              nightjar ps -a work
              nightjar ps --tree work
            """)

    @Flag(name: [.customShort("a"), .long], help: "Every process inside.")
    var all = false
    @Flag(help: "Every process inside, below the one that started it.")
    var tree = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String

    func run() async throws {
        if all || tree { try await showTable() } else { try await showStarted() }
    }

    private func showStarted() async throws {
        let processes = try await connection.withClient { try await $0.processes(sandbox) }
        if output.format == .json { return try Output.resource(processes) }
        let rows = processes.map { process in
            [
                "\(process.id)", "\(process.pid)", process.user, process.startedAt.age, Self.state(process),
                "\(process.outputEnd)", Human.command(process.command),
            ]
        }
        try Output.line(Output.table(["ID", "PID", "USER", "AGE", "STATE", "OUTPUT", "COMMAND"], rows))
    }

    private static func state(_ process: ProcessResource) -> String {
        guard let exit = process.exit else { return process.background ? "background" : "running" }
        switch exit.cause {
        case .timedOut: return "timed out"
        case .outOfMemory: return "out of memory"
        case .diskFull: return "disk full"
        case .processesExhausted: return "pids exhausted"
        case .exited, .signal: break
        }
        return exit.signal.map { "signal \($0)" } ?? "exit \(exit.code)"
    }

    private func showTable() async throws {
        let entries = try await connection.withClient { try await $0.processTable(sandbox) }
        if output.format == .json { return try Output.resource(entries) }
        if tree {
            let items = entries.map { entry in
                (
                    id: entry.pid, parent: entry.parent,
                    text: "\(entry.pid) \(entry.state) \(Human.bytes(Int64(clamping: entry.memoryBytes)))  "
                        + Human.plain(entry.command)
                )
            }
            for line in Tree.lines(Tree.forest(items)) { try Output.line(line) }
            return
        }
        let rows = entries.map { entry in
            [
                "\(entry.pid)", "\(entry.parent)", "\(entry.uid)", entry.state,
                Human.bytes(Int64(clamping: entry.memoryBytes)), "\(entry.cpuSeconds)", Human.plain(entry.command),
            ]
        }
        try Output.line(Output.table(["PID", "PARENT", "UID", "STATE", "MEMORY", "CPU", "COMMAND"], rows))
    }
}

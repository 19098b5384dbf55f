internal import ArgumentParser
internal import Client
internal import SandboxModel

struct SignalCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "signal",
        abstract: "Send a signal to a process and its group.",
        discussion: "  nightjar signal work 3\n  nightjar signal work 3 KILL",
        aliases: ["kill"])

    @Flag(help: "Only to the process itself, not to its group.")
    var noGroup = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String
    @Argument(help: "Id of the process.") var process: UInt32
    @Argument(help: "Name or number.") var signal = "TERM"

    func validate() throws {
        guard SignalName.number(signal) != nil else { throw ValidationError("'\(signal)' is not a signal.") }
    }

    func run() async throws {
        guard let number = SignalName.number(signal) else { return }
        try await connection.withClient { try await $0.signal(sandbox, process, number, group: !noGroup) }
    }
}

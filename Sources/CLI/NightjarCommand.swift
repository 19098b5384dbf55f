public import ArgumentParser
internal import Glibc
internal import SandboxModel

/// The root of the command line.
public struct NightjarCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "nightjar",
        abstract: "Sandboxes that fall asleep when idle and wake when called.",
        discussion: """
            The server is found by NIGHTJAR_URL (unix:///run/nightjar/nightjar.sock or http://host:port) and \
            NIGHTJAR_API_KEY; without them, the server of this machine is used.

            Exit codes: run, exec and shell pass on that of the command inside (128 + signal if a signal ended it). \
            Otherwise 0, or one of sysexits.h: 64 wrong usage, 66 no such sandbox, template, process or file, \
            69 not possible now, 70 the server failed, 73 the name or file exists already, 75 try again, 77 not allowed.
            """,
        version: NightjarVersion.current,
        groupedSubcommands: [
            CommandGroup(
                name: "Sandboxes",
                subcommands: [
                    RunCommand.self, CreateCommand.self, ListCommand.self, TopCommand.self, InspectCommand.self,
                    PauseCommand.self, StandbyCommand.self, ResumeCommand.self, StopCommand.self, RemoveCommand.self,
                ]),
            CommandGroup(
                name: "Inside a sandbox",
                subcommands: [
                    ExecCommand.self, ShellCommand.self, CopyCommand.self, LogsCommand.self, ProcessesCommand.self,
                    SignalCommand.self,
                ]),
            CommandGroup(
                name: "The server",
                subcommands: [
                    ServeCommand.self, KeyCommand.self, AuditCommand.self, EventsCommand.self, TemplateCommand.self,
                    CapabilitiesCommand.self, NodeCommand.self, UsageCommand.self, DoctorCommand.self,
                    DemoCommand.self,
                    BenchCommand.self, CompletionCommand.self, ReferenceCommand.self, VersionCommand.self,
                ]),
        ])

    public init() {}

    /// Parses the process's arguments, runs the command and ends the process with its exit code.
    public static func runToExit() async -> Never {
        // A reader that went away is an error of the write, not the end of this process.
        Glibc.signal(SIGPIPE, SIG_IGN)
        var format = OutputFormat.table
        do {
            var command = try await asyncParseAsRoot()
            format = (command as? any FormattedCommand)?.output.format ?? .table
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            TerminalMode.restore()
            Glibc.exit(0)
        } catch {
            TerminalMode.restore()
            Glibc.exit(ErrorReport.exitCode(reporting: error, format: format))
        }
    }
}

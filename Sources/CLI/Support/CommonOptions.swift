internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    case table, json
}

/// What every command that shows something has.
struct OutputOptions: ParsableArguments {
    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: "table, or json: the interface's own resources, a list as an array; errors then are JSON on stderr, too.")
    var format = OutputFormat.table
}

protocol FormattedCommand {
    var output: OutputOptions { get }
}

/// What every command that talks to the server has.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "The server, instead of NIGHTJAR_URL: unix:///path or http://host:port.")
    var url: String?

    /// Lends a client to `body` and closes it.
    func withClient<R>(_ body: (NightjarClient) async throws -> R) async throws -> R {
        var environment = ProcessInfo.processInfo.environment
        if let url { environment["NIGHTJAR_URL"] = url }
        let client = NightjarClient(try ClientConfiguration.discovered(environment: environment))
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// `KEY=VALUE`.
struct KeyValue: ExpressibleByArgument {
    var key: String
    var value: String
    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        key = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }

    static func dictionary(_ pairs: [KeyValue]) -> [String: String] {
        Dictionary(pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    }
}

/// Options of a process that is started.
struct ProcessOptions: ParsableArguments {
    @Option(name: [.customShort("e"), .customLong("env")], help: "KEY=VALUE of its environment; may be repeated.")
    var environment: [KeyValue] = []

    @Option(name: [.customShort("w"), .customLong("workdir")], help: "Its directory; default: the template's.")
    var directory: String?

    @Option(name: [.customShort("u"), .long], help: "name, uid, name:group or uid:gid; default: the template's.")
    var user: String?

    @Option(help: "Seconds after which it is ended.")
    var timeout: Double?

    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Give it a terminal.")
    var terminal = false

    @Flag(
        name: [.customShort("i"), .customLong("interactive")], help: "Pass on standard input even if it is a terminal.")
    var interactive = false

    func request(_ command: [String]) -> ExecRequest {
        var request = ExecRequest(command: command)
        request.env = environment.isEmpty ? nil : KeyValue.dictionary(environment)
        request.directory = directory
        request.user = user
        request.timeout = timeout
        return request
    }
}

/// The command after `--`, which is not required.
func commandWords(_ captured: [String], of command: any ParsableCommand.Type) throws -> [String] {
    guard let first = captured.first else { throw ValidationError("Which command? Put it after `--`.") }
    if first == "--" {
        guard captured.count > 1 else { throw ValidationError("Which command? Put it after `--`.") }
        return Array(captured.dropFirst())
    }
    if first == "-h" || first == "--help" { throw CleanExit.helpRequest(command) }
    guard !first.hasPrefix("-") else { throw ValidationError("Unknown option '\(first)'.") }
    return captured
}

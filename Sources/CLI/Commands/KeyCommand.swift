internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Manage the keys of the interface.",
        subcommands: [KeyCreateCommand.self, KeyListCommand.self, KeyRemoveCommand.self])
}

struct KeyCreateCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a key, and print it this once.",
        discussion: """
            Scopes: sandbox:read sees everything and neither changes nor wakes anything; sandbox:write uses and changes \
            sandboxes; admin also manages keys and reads the audit log.

              nightjar key create --scope sandbox:read --label dashboard
              NIGHTJAR_API_KEY=$(nightjar key create --scope sandbox:write --expires-in 3600)
            """)

    @Option(help: "sandbox:read, sandbox:write or admin; may be repeated.")
    var scope: [ScopeArgument]
    @Option(help: "What it is for.")
    var label: String?
    @Option(help: "Seconds after which it is refused; default: never.")
    var expiresIn: Double?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let request = KeyRequest(scopes: scope.map(\.scope), label: label, expiresIn: expiresIn)
        let key = try await connection.withClient { try await $0.createKey(request) }
        if output.format == .json { return try Output.resource(key) }
        try Output.line(key.secret ?? "")
        if isatty(STDERR_FILENO) == 1 {
            FileHandle.standardError.write(Data("\(key.id) is not shown again; the server keeps only a hash.\n".utf8))
        }
    }
}

struct KeyListCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List keys.", discussion: "  nightjar key ls", aliases: ["list"])

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let keys = try await connection.withClient { try await $0.keys() }
        if output.format == .json { return try Output.resource(keys) }
        let rows = keys.map { key in
            [
                key.id, key.scopes.map(\.rawValue).joined(separator: ","), key.createdAt.age,
                key.expiresAt.map { $0 <= .now ? "expired" : "in \(Human.age($0.seconds(since: .now)))" } ?? "never",
                Human.plain(key.label ?? "-"),
            ]
        }
        try Output.line(Output.table(["ID", "SCOPES", "AGE", "EXPIRES", "LABEL"], rows))
    }
}

struct KeyRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Make keys useless.", discussion: "  nightjar key rm key_abcdefghijkl",
        aliases: ["revoke"])

    @Argument(help: "Identifiers, as `nightjar key ls` shows them.")
    var ids: [String]
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            for id in ids { try await client.revokeKey(id) }
        }
    }
}

/// A scope on the command line.
struct ScopeArgument: ExpressibleByArgument {
    var scope: AccessScope
    init?(argument: String) {
        guard let scope = AccessScope(rawValue: argument) else { return nil }
        self.scope = scope
    }
    static var allValueStrings: [String] { AccessScope.allCases.map(\.rawValue) }
}

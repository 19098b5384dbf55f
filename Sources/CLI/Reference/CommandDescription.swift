internal import ArgumentParser
internal import Foundation

/// The commands as the parser knows them, for the documents that are made from them.
struct CommandDescription: Decodable {
    struct Name: Decodable {
        var kind: String
        var name: String

        /// As it is typed.
        var text: String { (kind == "long" ? "--" : "-") + name }
    }

    struct Argument: Decodable {
        var kind: String
        var names: [Name]?
        var valueName: String?
        var abstract: String?
        var defaultValue: String?
        var allValues: [String]?
        var isOptional: Bool
        var isRepeating: Bool
        var shouldDisplay: Bool

        var isPositional: Bool { kind == "positional" }

        /// For example `-l, --label <label>` or `<sandbox>`.
        var synopsis: String {
            let value = "<\(valueName ?? "value")>" + (isRepeating && isPositional ? "..." : "")
            guard !isPositional else { return value }
            let sorted = (names ?? []).sorted { $0.text.count < $1.text.count }
            return sorted.map(\.text).joined(separator: ", ") + (kind == "option" ? " \(value)" : "")
        }

        /// What it means, with its choices and its default.
        var explanation: String {
            var text = abstract ?? ""
            if let allValues, !allValues.isEmpty, !text.contains(allValues.joined(separator: ", ")) {
                text += " One of \(allValues.joined(separator: ", "))."
            }
            if let defaultValue { text += " Default: \(defaultValue)." }
            return text
        }
    }

    var commandName: String
    var abstract: String?
    var discussion: String?
    var aliases: [String]?
    var shouldDisplay: Bool
    var arguments: [Argument]?
    var subcommands: [CommandDescription]?

    /// The whole command line.
    ///
    /// - Throws: `DecodingError` if the parser describes itself in another way than expected.
    static func root() throws -> CommandDescription {
        struct Dump: Decodable { var command: CommandDescription }
        return try JSONDecoder().decode(Dump.self, from: Data(NightjarCommand._dumpHelp().utf8)).command
    }

    /// The commands that do something, with their full names, in the order of the help text.
    func commands(below prefix: String = "") -> [(name: String, command: CommandDescription)] {
        let name = prefix.isEmpty ? commandName : "\(prefix) \(commandName)"
        let inner = (subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
        return inner.isEmpty ? [(name, self)] : inner.flatMap { $0.commands(below: name) }
    }

    /// Arguments that every command has are told once.
    var ownArguments: [Argument] {
        (arguments ?? []).filter { argument in
            argument.shouldDisplay && !(argument.names ?? []).contains { ["help", "version"].contains($0.name) }
        }
    }

    /// For example `nightjar ps [options] <sandbox>`.
    func usage(_ name: String) -> String {
        let positional = ownArguments.filter(\.isPositional).map { $0.isOptional ? "[\($0.synopsis)]" : $0.synopsis }
        return ([name] + (ownArguments.contains { !$0.isPositional } ? ["[options]"] : []) + positional)
            .joined(separator: " ")
    }

    /// The discussion's paragraphs; those that are indented are examples.
    var paragraphs: [(text: String, isExample: Bool)] {
        (discussion ?? "").components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { paragraph in
            let lines = paragraph.components(separatedBy: "\n")
            let isExample = lines.allSatisfy { $0.hasPrefix("  ") }
            return (isExample ? lines.map { String($0.dropFirst(2)) }.joined(separator: "\n") : paragraph, isExample)
        }
    }
}

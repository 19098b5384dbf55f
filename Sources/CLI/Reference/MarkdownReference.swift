internal import Foundation

/// `docs/reference/cli.md`.
enum MarkdownReference {
    static func text(_ root: CommandDescription) -> String {
        let commands = root.commands()
        var lines = [
            "# Command line", "",
            "Made from the commands by `make docs`: change those, not this file. `man nightjar` (after `make man`) says the "
                + "same.", "",
        ]
        lines += paragraphs(root)
        lines += [
            "", "| command | what it does | by API |", "|---|---|---|",
        ]
        for (name, command) in commands {
            let anchor = name.replacingOccurrences(of: " ", with: "-")
            let operations = CommandOperations.table[name.droppingProgram] ?? .local("")
            lines.append("| [`\(name)`](#\(anchor)) | \(escaped(command.abstract ?? "")) | \(operations.markdown) |")
        }
        lines += ["", "Every command has `-h, --help` and `--version`."]
        for (name, command) in commands { lines += ["", "## \(name)", ""] + section(name, command) }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func section(_ name: String, _ command: CommandDescription) -> [String] {
        var lines = [command.abstract ?? "", "", "```", command.usage(name), "```"]
        if let aliases = command.aliases, !aliases.isEmpty {
            lines += ["", "Also called " + aliases.map { "`\($0)`" }.joined(separator: ", ") + "."]
        }
        let text = paragraphs(command)
        if !text.isEmpty { lines += [""] + text }
        let arguments = command.ownArguments
        if !arguments.isEmpty {
            lines += ["", "| argument | meaning |", "|---|---|"]
            lines += arguments.map { "| `\($0.synopsis)` | \(escaped($0.explanation)) |" }
        }
        return lines
    }

    private static func paragraphs(_ command: CommandDescription) -> [String] {
        var lines: [String] = []
        for (text, isExample) in command.paragraphs {
            if !lines.isEmpty { lines.append("") }
            lines += isExample ? ["```sh", text, "```"] : [text]
        }
        return lines
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "\n", with: " ")
    }
}

extension String {
    /// The command's name without the program's.
    var droppingProgram: String { String(drop { $0 != " " }.dropFirst()) }
}

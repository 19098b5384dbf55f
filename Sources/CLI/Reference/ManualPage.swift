internal import Foundation

/// `nightjar.1`, in the macros of man(7).
enum ManualPage {
    static func text(_ root: CommandDescription, version: String) -> String {
        var lines = [
            ".TH NIGHTJAR 1 \"\" \"Nightjar \(version)\" \"User Commands\"", ".SH NAME",
            "nightjar \\- \(escaped(root.abstract ?? ""))", ".SH SYNOPSIS", ".B nightjar", ".I command", "[options]",
            ".SH DESCRIPTION",
        ]
        lines += paragraphs(root)
        lines.append(".SH COMMANDS")
        for (name, command) in root.commands() { lines += section(name, command) }
        lines += [
            ".SH ENVIRONMENT", ".TP", ".B NIGHTJAR_URL", "The server: unix:///path or http://host:port.", ".TP",
            ".B NIGHTJAR_API_KEY", "The key for a server that is reached by TCP.", ".TP", ".B NO_COLOR",
            "If it is set and not empty, nothing is coloured.", ".SH FILES", ".TP", ".I /run/nightjar/nightjar.sock",
            "The server's socket.", ".TP", ".I /var/lib/nightjar",
            "The server's data; the file api\\-key in it holds the key.",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func section(_ name: String, _ command: CommandDescription) -> [String] {
        var lines = [".SS \(escaped(command.usage(name)))", escaped(command.abstract ?? "")]
        lines += paragraphs(command)
        for argument in command.ownArguments {
            lines += [".TP", ".B \(escaped(argument.synopsis))", escaped(argument.explanation)]
        }
        return lines
    }

    private static func paragraphs(_ command: CommandDescription) -> [String] {
        command.paragraphs.flatMap { text, isExample in
            let lines = text.components(separatedBy: "\n").map(escaped)
            return isExample ? [".PP", ".nf", ".RS"] + lines + [".RE", ".fi"] : [".PP"] + lines
        }
    }

    /// A line that is text and nothing else: no macro, no escape, hyphens that can be copied.
    static func escaped(_ line: String) -> String {
        let text = line.replacingOccurrences(of: "\\", with: "\\e").replacingOccurrences(of: "-", with: "\\-")
        return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
    }
}

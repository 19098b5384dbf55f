internal import ArgumentParser

struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion",
        abstract: "Print a script that completes this program's command line.",
        discussion: """
            It completes commands, options, and the names of sandboxes and templates of the server in NIGHTJAR_URL.

              nightjar completion bash > /usr/share/bash-completion/completions/nightjar
              nightjar completion zsh > "${fpath[1]}/_nightjar"
              nightjar completion fish > ~/.config/fish/completions/nightjar.fish
              source <(nightjar completion bash)
            """)

    enum Shell: String, CaseIterable, ExpressibleByArgument {
        case bash, zsh, fish
    }

    @Argument(help: "bash, zsh or fish.") var shell: Shell

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell.rawValue) else {
            throw ValidationError("There is no completion for \(shell.rawValue).")
        }
        try Output.line(NightjarCommand.completionScript(for: shell))
    }
}

internal import ArgumentParser
internal import SandboxModel

/// Not for people: what the documents are made with.
struct ReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference",
        abstract: "Print the reference of all commands.",
        discussion: "  nightjar reference man > nightjar.1",
        shouldDisplay: false)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case man, markdown
    }

    @Argument(help: "man or markdown.") var format: Format

    func run() throws {
        let root = try CommandDescription.root()
        switch format {
        case .man: try Output.line(ManualPage.text(root, version: NightjarVersion.current))
        case .markdown: try Output.line(MarkdownReference.text(root))
        }
    }
}

internal import ArgumentParser
internal import Client
internal import SandboxModel

struct ListCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List sandboxes.",
        discussion: """
            Looking does not keep a sandbox awake.

              nightjar ls
              nightjar ls --tree
              nightjar ls -l team=ops --state running --state paused -o json
            """,
        aliases: ["list"])

    @Option(name: [.customShort("l"), .long], help: "Only those with this KEY=VALUE label; may be repeated.")
    var label: [KeyValue] = []
    @Option(
        help: "Only those in this state; may be repeated.",
        completion: .list(SandboxState.allCases.map(\.rawValue)), transform: choice)
    var state: [SandboxState] = []
    @Flag(name: [.customShort("q"), .long], help: "Ids only.")
    var quiet = false
    @Flag(help: "Below the template and its version that each was made from.")
    var tree = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let labels = KeyValue.dictionary(label)
        let all = try await connection.withClient { try await $0.allSandboxes(labels: labels, states: state) }
        if output.format == .json { return try Output.resource(all) }
        if quiet {
            for sandbox in all { try Output.line(sandbox.id.rawValue) }
            return
        }
        if tree {
            for line in Tree.lines(Self.tree(all)) { try Output.line(line) }
            return
        }
        let rows = all.map { sandbox in
            [
                sandbox.id.rawValue, sandbox.name ?? "-", sandbox.state.rawValue, sandbox.template,
                sandbox.createdAt.age, Self.note(sandbox), Human.labels(sandbox.labels),
            ]
        }
        try Output.line(Output.table(["ID", "NAME", "STATE", "TEMPLATE", "AGE", "NOTE", "LABELS"], rows))
    }

    /// Templates, their versions and the sandboxes made from them.
    static func tree(_ all: [SandboxResource]) -> [Tree.Node] {
        func group(
            _ sandboxes: [SandboxResource], by key: (SandboxResource) -> String,
            _ children: ([SandboxResource]) -> [Tree.Node]
        ) -> [Tree.Node] {
            Dictionary(grouping: sandboxes, by: key).sorted { $0.key < $1.key }
                .map { Tree.Node(text: $0.key, children: children($0.value)) }
        }
        return group(all, by: \.template) { ofTemplate in
            group(ofTemplate, by: { String($0.templateVersion.prefix(12)) }) { sandboxes in
                sandboxes.map { sandbox in
                    let name = sandbox.name ?? sandbox.id.rawValue
                    return Tree.Node(text: "\(name)  \(sandbox.state.rawValue)  \(note(sandbox))", children: [])
                }.sorted { $0.text < $1.text }
            }
        }
    }

    private static func note(_ sandbox: SandboxResource) -> String {
        if let problem = sandbox.problem { return Human.plain(problem.message, width: 50) }
        if !sandbox.awakeBecause.isEmpty { return Human.plain(sandbox.awakeBecause.joined(separator: "; "), width: 50) }
        if let bytes = sandbox.checkpointBytes { return "\(Human.bytes(bytes)) on disk" }
        if let idle = sandbox.idleAt, sandbox.state == .running {
            return "\(sandbox.lifecycle.onIdle.rawValue) in \(Human.age(max(0, idle.seconds(since: .now))))"
        }
        return "-"
    }
}

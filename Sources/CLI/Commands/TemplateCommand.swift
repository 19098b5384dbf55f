internal import ArgumentParser
internal import Client
internal import SandboxModel

struct TemplateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template",
        abstract: "See what sandboxes can be made from.",
        subcommands: [TemplateListCommand.self])
}

struct TemplateListCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List templates.", discussion: "  nightjar template ls", aliases: ["list"])

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let templates = try await connection.withClient { try await $0.templates() }
        if output.format == .json { return try Output.resource(templates) }
        let rows = templates.map { template in
            [
                template.name, String(template.version.prefix(12)), template.createdAt.age,
                Human.bytes(template.sizeBytes), template.defaultUser, Human.plain(template.description),
            ]
        }
        try Output.line(Output.table(["NAME", "VERSION", "AGE", "SIZE", "USER", "DESCRIPTION"], rows))
    }
}

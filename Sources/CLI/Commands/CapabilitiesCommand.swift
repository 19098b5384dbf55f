internal import ArgumentParser
internal import Client
internal import SandboxModel

struct CapabilitiesCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "capabilities", abstract: "Show what the server's machine can do, and why not.",
        discussion: "  nightjar capabilities")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let capabilities = try await connection.withClient { try await $0.capabilities() }
        if output.format == .json { return try Output.resource(capabilities) }
        var rows: [[String]] = []
        for tier in capabilities.isolation {
            var abilities = [
                ("run", tier.run), ("pause", tier.pause), ("standby", tier.standby), ("limits", tier.limits),
            ]
            if let acceleration = tier.acceleration { abilities.append(("acceleration", acceleration)) }
            for (name, ability) in abilities {
                rows.append([
                    "\(tier.name) \(tier.version)", name, ability.available ? "yes" : "no", ability.reason ?? "-",
                ])
            }
        }
        rows.append(["network", capabilities.network.joined(separator: ", "), "yes", "-"])
        try Output.line(Output.table(["TIER", "WHAT", "HERE", "WHY NOT"], rows))
    }
}

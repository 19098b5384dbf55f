internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct UsageCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Show what sandboxes have used, those that are gone included.",
        discussion: """
            CPU time, RAM that was really occupied (GiB-hours), time with processes, and memory on disk while asleep \
            (GiB-hours), in whole hours. A sandbox that runs is read every 10 seconds.

              nightjar usage
              nightjar usage --since 720h --by label:tenant --bucket day
              nightjar usage --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z -l team=ops -o json
            """)

    @Option(help: "Hours, days or minutes until now, such as 24h, 30d or 90m. (default: 24h)")
    var since: String?
    @Option(help: "Begin, in UTC, such as 2026-11-21T12:00:00Z.")
    var from: String?
    @Option(help: "End, in UTC. (default: now)")
    var to: String?
    @Option(help: "One line for each: sandbox, total or label:KEY.")
    var by = "sandbox"
    @Option(help: "One line for each: hour, day or all.")
    var bucket = "all"
    @Option(help: "Only this one: id or name, also of one that is gone.")
    var sandbox: String?
    @Option(name: [.customShort("l"), .long], help: "Only what was used with this KEY=VALUE label; may be repeated.")
    var label: [KeyValue] = []
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if since != nil && from != nil { throw ValidationError("--since and --from contradict each other.") }
        if let since, Self.seconds(since) == nil { throw ValidationError("--since must look like 24h, 30d or 90m.") }
        for (name, text) in [("from", from), ("to", to)] {
            if let text, Timestamp(text) == nil {
                throw ValidationError("--\(name) must look like 2026-11-21T12:00:00Z.")
            }
        }
    }

    func run() async throws {
        var query = UsageQuery()
        query.to = to.flatMap { Timestamp($0) }
        query.from =
            from.flatMap { Timestamp($0) }
            ?? (query.to ?? Timestamp.now).adding(seconds: -(since.flatMap(Self.seconds) ?? 86_400))
        query.groupBy = by
        query.bucket = bucket
        query.sandbox = sandbox
        query.labels = KeyValue.dictionary(label)
        let usage = try await connection.withClient { try await $0.allUsage(query) }
        if output.format == .json { return try Output.resource(usage.items) }
        let rows = usage.items.map(row)
        try Output.line("from \(Self.brief(usage.from)) to \(Self.brief(usage.to))\n")
        try Output.line(
            Output.table(
                [
                    by == "sandbox" ? "SANDBOX" : by == "total" ? "TOTAL" : by.uppercased(), "TIME", "CPU", "RUNNING",
                    "RAM GiB-H", "ASLEEP", "DISK GiB-H",
                ], rows))
    }

    private func row(_ item: UsageResource.Item) -> [String] {
        let name =
            item.sandbox.map { id in
                (item.name ?? id.rawValue) + (item.deletedAt == nil ? "" : " (gone)")
            } ?? item.value ?? (item.label == nil ? "all" : "(without)")
        return [
            Human.plain(name), bucket == "all" ? "-" : Self.brief(item.from), Self.number(item.cpuSeconds, " s"),
            Human.age(item.runningSeconds), Self.number(item.memoryGiBSeconds / 3600, ""),
            Human.age(item.standbySeconds), Self.number(item.standbyGiBSeconds / 3600, ""),
        ]
    }

    private static func number(_ value: Double, _ unit: String) -> String { String(format: "%.3f", value) + unit }

    /// Times here are whole hours.
    private static func brief(_ time: Timestamp) -> String { String(time.description.prefix(16)) + "Z" }

    private static func seconds(_ text: String) -> Double? {
        guard let unit = text.last, let factor = ["m": 60.0, "h": 3600, "d": 86_400][unit],
            let number = Double(text.dropLast()), number > 0, number <= 1_000_000
        else { return nil }
        return number * factor
    }
}

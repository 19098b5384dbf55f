internal import ArgumentParser
internal import Client
internal import SandboxModel

struct AuditCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show who changed what, newest first.",
        discussion: """
            Each mutation of the interface is recorded before its effect: who asked (a key, or a user of the Unix socket), from \
            where, what, and how it ended. With --verify, the hashes that tie the log together are computed again, and \
            the last one is printed: kept elsewhere, it shows later that nothing before was replaced.

              nightjar audit --target work
              nightjar audit --who key_abcdefghijkl --limit 1000 -o json
              nightjar audit --verify
            """)

    @Option(help: "Only of this key's id, or uid:NUMBER.")
    var who: String?
    @Option(help: "Only what was done to this sandbox or key.")
    var target: String?
    @Option(help: "How many.")
    var limit = 50
    @Flag(help: "Check the whole log instead of showing it.")
    var verify = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1.") }
    }

    func run() async throws {
        try await connection.withClient { client in
            if verify { return try show(try await client.verifyAudit()) }
            var items: [AuditResource] = []
            var cursor: String?
            repeat {
                let page = try await client.audit(
                    who: who, target: target, limit: min(1000, limit - items.count), cursor: cursor)
                items += page.items
                cursor = page.nextCursor
            } while cursor != nil && items.count < limit
            try show(items)
        }
    }

    private func show(_ items: [AuditResource]) throws {
        if output.format == .json { return try Output.resource(items) }
        let rows = items.map { item in
            [
                "\(item.at)", item.who, item.from, "\(item.method) \(item.route)", Human.plain(item.target ?? "-"),
                item.status.map { "\($0)" + (item.code.map { " \($0)" } ?? "") } ?? "unknown",
            ]
        }
        try Output.line(Output.table(["AT", "WHO", "FROM", "WHAT", "TARGET", "RESULT"], rows))
    }

    private func show(_ found: AuditVerificationResource) throws {
        if output.format == .json {
            try Output.resource(found)
        } else {
            let verdict = found.intact ? "intact" : "broken at row \(found.brokenAt ?? 0)"
            try Output.line("\(verdict): \(found.rows) rows, head \(found.headSequence) \(found.headHash)")
        }
        guard found.intact else { throw ExitCode(70) }
    }
}

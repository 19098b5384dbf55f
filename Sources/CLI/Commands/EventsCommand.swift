internal import ArgumentParser
internal import Client
internal import SandboxModel

struct EventsCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Show what happened to sandboxes.",
        discussion: """
            With -o json and -f, each event is one line of JSON.

              nightjar events --sandbox work
              nightjar events -f
            """)

    @Flag(name: [.customShort("f"), .long], help: "Go on with those to come.")
    var follow = false
    @Option(help: "Only events after this sequence number.")
    var after: Int64?
    @Option(help: "Only those of this sandbox.", completion: NameCompletion.sandboxes)
    var sandbox: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await connection.withClient { client in
            if follow { try await followed(client) } else { try await past(client) }
        }
    }

    private func past(_ client: NightjarClient) async throws {
        let events = try await client.events(after: after, sandbox: sandbox)
        if output.format == .json { return try Output.resource(events) }
        for event in events { try show(event) }
    }

    /// Goes on after the last event when the connection is lost.
    private func followed(_ client: NightjarClient) async throws {
        var last = after
        var deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                for try await event in try await client.followEvents(after: last, sandbox: sandbox) {
                    deadline = .now + .seconds(30)
                    last = event.sequence
                    if output.format == .json {
                        try Output.line(try Output.json(event, pretty: false))
                    } else {
                        try show(event)
                    }
                }
            } catch let error as SandboxError where error.code == .unavailable && ContinuousClock.now < deadline {}
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private func show(_ event: EventResource) throws {
        let detail = event.detail.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        let who = event.name.map { "\($0) (\(event.sandbox))" } ?? event.sandbox.rawValue
        try Output.line("\(event.sequence)  \(event.at)  \(event.type)  \(who)  \(Human.plain(detail, width: 200))")
    }
}

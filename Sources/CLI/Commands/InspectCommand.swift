internal import ArgumentParser
internal import Client
internal import SandboxModel

struct InspectCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show everything about a sandbox.",
        discussion: "  nightjar inspect work\n  nightjar inspect work -o json | jq .awake_because")

    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (resource, metrics) = try await connection.withClient { client in
            let resource = try await client.sandbox(sandbox)
            return (resource, output.format == .json ? nil : try? await client.metrics(sandbox))
        }
        if output.format == .json { return try Output.resource(resource) }
        var rows: [[String]] = [
            ["id", resource.id.rawValue], ["name", resource.name ?? "-"], ["state", resource.state.rawValue],
            ["awake because", resource.awakeBecause.isEmpty ? "-" : resource.awakeBecause.joined(separator: "; ")],
            ["template", "\(resource.template) (\(resource.templateVersion))"], ["isolation", resource.isolation],
            ["network", resource.network.rawValue], ["labels", Human.labels(resource.labels)],
            ["created", "\(resource.createdAt) (\(resource.createdAt.age) ago)"],
            ["last active", "\(resource.lastActiveAt) (\(resource.lastActiveAt.age) ago)"],
            ["when idle", idle(resource)], ["expires", resource.expiresAt?.description ?? "never"],
            [
                "limits",
                "\(resource.limits.memoryMiB) MiB, \(resource.limits.cpus) cores, \(resource.limits.pids) processes, "
                    + (resource.limits.diskMiB.map { "\($0) MiB of files" } ?? "files as the host has room"),
            ],
            ["wakes", "\(resource.wakes)"],
        ]
        if let bytes = resource.checkpointBytes { rows.append(["memory on disk", Human.bytes(bytes)]) }
        if let problem = resource.problem { rows.append(["problem", "\(problem.code.rawValue): \(problem.message)"]) }
        if let metrics {
            rows += [
                ["memory in RAM", Human.bytes(Int64(clamping: metrics.memoryBytes))],
                ["host processes", "\(metrics.hostProcesses)"], ["files on disk", Human.bytes(metrics.diskBytes)],
            ]
        }
        for row in rows { try Output.line(row[0] + ":" + String(repeating: " ", count: 17 - row[0].count) + row[1]) }
    }

    private func idle(_ resource: SandboxResource) -> String {
        let policy = resource.lifecycle
        return "\(policy.onIdle.rawValue) after \(policy.idleTimeout) s, "
            + (policy.autoResume ? "wakes when called" : "wakes only by resume")
    }
}

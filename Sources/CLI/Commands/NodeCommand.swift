internal import ArgumentParser
internal import Client
internal import SandboxModel

struct NodeCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Show what the server's machine has for sandboxes, what is promised, and who waits.",
        discussion: """
            A sandbox with processes holds its limits of the node's capacity times its overcommitment; one in standby holds \
            nothing. When a start does not fit, idle sandboxes are put to standby, and the start waits its turn.

              nightjar node
              nightjar node -o json | jq .queue
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let node = try await connection.withClient { try await $0.node() }
        if output.format == .json { return try Output.resource(node) }
        let mebibyte: Int64 = 1 << 20
        let promised = Int64(Double(node.capacity.memoryMiB) * node.overcommit.memory) * mebibyte
        let rows = [
            [
                "memory", Human.bytes(Int64(node.reserved.memoryMiB) * mebibyte),
                Human.bytes(Int64(node.capacity.memoryMiB) * mebibyte), "\(node.overcommit.memory)",
                Human.bytes(promised),
            ],
            [
                "cores", "\(node.reserved.cpus)", "\(node.capacity.cpus)", "\(node.overcommit.cpus)",
                "\(node.capacity.cpus * node.overcommit.cpus)",
            ],
            [
                "sandboxes", "\(node.reserved.sandboxes)", "\(node.capacity.sandboxes)", "-",
                "\(node.capacity.sandboxes)",
            ],
        ]
        try Output.line(Output.table(["WHAT", "HELD", "CAPACITY", "OVERCOMMIT", "AT MOST"], rows))
        let (host, queue) = (node.host, node.queue)
        try Output.line(
            "\nhost: \(host.cpus) cores, \(Human.bytes(host.memoryAvailableBytes)) of "
                + "\(Human.bytes(host.memoryTotalBytes)) memory available, "
                + "\(Human.bytes(host.memoryReserveBytes)) kept free")
        try Output.line(
            "starts: \(queue.starting) of \(queue.parallelStarts) at once; waiting: \(queue.waiting) of \(queue.limit), "
                + "the longest for \(Human.age(queue.longestWait)) of \(Human.age(queue.timeout)), in turns by the label "
                + "\(queue.fairLabel); making room: \(queue.leaving)")
    }
}

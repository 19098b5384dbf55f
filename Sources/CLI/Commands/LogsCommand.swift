internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct LogsCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show what a process has written.",
        discussion: """
            Looking neither wakes a sandbox nor keeps it awake. What the process wrote to standard error goes to standard \
            error. With -o json, each piece is one line of JSON.

              nightjar logs work 3
              nightjar logs -f work 3
            """)

    @Flag(name: [.customShort("f"), .long], help: "Go on until the process ends.")
    var follow = false
    @Option(help: "Skip so many bytes of output.")
    var offset: Int64 = 0
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Id or name.", completion: NameCompletion.sandboxes) var sandbox: String
    @Argument(help: "Id of the process.") var process: UInt32

    func run() async throws {
        try await connection.withClient { client in
            if follow { try await followed(client) } else { try await retained(client) }
        }
    }

    private func retained(_ client: NightjarClient) async throws {
        var next = offset
        while true {
            let piece = try await client.output(sandbox, process, offset: next)
            for chunk in piece.chunks { try show(chunk) }
            guard piece.nextOffset > next, !piece.chunks.isEmpty else { return }
            next = piece.nextOffset
        }
    }

    /// Goes on where it was when the connection is lost.
    private func followed(_ client: NightjarClient) async throws {
        var next = offset
        var deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                for try await event in try await client.followOutput(sandbox, process, offset: next) {
                    deadline = .now + .seconds(30)
                    switch event {
                    case .output(let chunk):
                        try show(chunk)
                        next = chunk.offset + Int64(Data(base64Encoded: chunk.dataBase64)?.count ?? 0)
                    case .exit: return
                    }
                }
            } catch let error as SandboxError where error.code == .unavailable && ContinuousClock.now < deadline {}
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private func show(_ chunk: OutputChunkResource) throws {
        if output.format == .json { return try Output.line(try Output.json(chunk, pretty: false)) }
        guard let data = Data(base64Encoded: chunk.dataBase64) else { return }
        let handle = chunk.stream == "stderr" ? FileHandle.standardError : FileHandle.standardOutput
        do {
            try handle.write(contentsOf: data)
        } catch {
            throw OutputClosed()
        }
    }
}

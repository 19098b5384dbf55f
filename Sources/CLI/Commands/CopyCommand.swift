internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

struct CopyCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp",
        abstract: "Copy files and directories into a sandbox or out of it.",
        discussion: """
            Directories are copied with all that is in them, with their modes; symlinks as symlinks. If the destination is \
            a directory, the copy is put into it; SOURCE/. copies what is in SOURCE. A `-` is standard input or output.

              nightjar cp src work:/workspace
              nightjar cp work:/workspace/out.csv .
              nightjar cp work:/workspace/. ./backup
              curl -s https://example.org | nightjar cp - work:/tmp/page.html
            """)

    @Option(name: [.customShort("u"), .long], help: "Owner of the files inside; default: the template's user.")
    var user: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "A path, SANDBOX:/path or -.", completion: .file()) var source: String
    @Argument(help: "A path, SANDBOX:/path or -.", completion: .file()) var destination: String

    func validate() throws {
        switch (try CopyEnd(source), try CopyEnd(destination)) {
        case (.sandbox, .local), (.sandbox, .stream), (.local, .sandbox), (.stream, .sandbox): break
        default: throw ValidationError("One of the two must be SANDBOX:/path, and only one.")
        }
    }

    func run() async throws {
        let from = try CopyEnd(source)
        let to = try CopyEnd(destination)
        let copied = try await connection.withClient { client in
            switch (from, to) {
            case (.local(let path), .sandbox(let sandbox, let target)):
                return try await Upload(client: client, sandbox: sandbox, user: user, shows: shows).copy(
                    path, to: target)
            case (.stream, .sandbox(let sandbox, let target)):
                return try await Upload(client: client, sandbox: sandbox, user: user, shows: shows).copyInput(
                    to: target)
            case (.sandbox(let sandbox, let path), .local(let target)):
                return try await Download(client: client, sandbox: sandbox, shows: shows).copy(path, to: target)
            case (.sandbox(let sandbox, let path), .stream):
                return try await Download(client: client, sandbox: sandbox, shows: false).copyToOutput(path)
            default: return CopyResult()
            }
        }
        // Standard output may be what was copied.
        if case .stream = to { return }
        if output.format == .json { try Output.resource(copied) }
    }

    private var shows: Bool { output.format == .table }
}

/// What was copied.
struct CopyResult: Encodable, Sendable {
    var files = 0
    var directories = 0
    var symlinks = 0
    var bytes: Int64 = 0
}

/// One end of a copy.
enum CopyEnd {
    case local([UInt8])
    case sandbox(String, SandboxPath)
    case stream

    init(_ text: String) throws {
        if text == "-" {
            self = .stream
        } else if let colon = text.firstIndex(of: ":"), colon != text.startIndex, !text[..<colon].contains("/"),
            !text.hasPrefix(".")
        {
            let path = String(text[text.index(after: colon)...])
            guard path.hasPrefix("/") else {
                throw ValidationError("The path in a sandbox must be absolute: \(text[...colon])/…")
            }
            self = .sandbox(String(text[..<colon]), SandboxPath(path))
        } else if text.isEmpty {
            throw ValidationError("A path is empty.")
        } else {
            self = .local(Array(text.utf8))
        }
    }
}

/// A path as its parts, for the rules of where a copy goes.
struct CopyPath {
    var bytes: [UInt8]

    /// Whether what is in the directory is meant, not the directory.
    var meansContent: Bool { bytes.suffix(2) == [0x2F, 0x2E] || bytes == [0x2E] }
    var endsInSlash: Bool { bytes.last == 0x2F }

    /// The last name; empty for `/`, `.` and `..`.
    var name: [UInt8] {
        let trimmed = bytes.reversed().drop { $0 == 0x2F }.reversed()
        let name = Array(Array(trimmed).split(separator: 0x2F).last ?? [])
        return name == [0x2E] || name == [0x2E, 0x2E] ? [] : name
    }
}

import ArgumentParser
import Foundation
import Testing

@testable import CLI

/// The documents that are made from the commands, and what they say of the API.
@Suite struct ReferenceTests {
    private static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// Held in `make test`; whoever changes a command need not regenerate at once.
    private static let isHeld = ["NIGHTJAR_TEST_CURRENT", "NIGHTJAR_WRITE_DOCUMENT"].contains {
        ProcessInfo.processInfo.environment[$0] != nil
    }

    @Test(.enabled(if: isHeld)) func `the reference of the command line is current`() throws {
        let file = Self.root.appendingPathComponent("docs/reference/cli.md")
        let text = MarkdownReference.text(try CommandDescription.root())
        if ProcessInfo.processInfo.environment["NIGHTJAR_WRITE_DOCUMENT"] != nil {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        } else {
            #expect(try String(contentsOf: file, encoding: .utf8) == text, "run: make docs")
        }
    }

    @Test(.enabled(if: isHeld))
    func `every command says which operations of the API do the same, and every operation who needs it`() throws {
        let document = try String(
            contentsOf: Self.root.appendingPathComponent("Sources/API/openapi.yaml"), encoding: .utf8)
        let operations = Set(document.matches(of: /operationId: (\w+)/).map { String($0.1) })
        #expect(operations.count > 35)
        let commands = Set(try CommandDescription.root().commands().map { $0.name.droppingProgram })
        #expect(Set(CommandOperations.table.keys) == commands)
        let used = Set(CommandOperations.table.values.flatMap(\.names))
        let excused = Set(CommandOperations.withoutCommand.keys)
        #expect(used.union(excused) == operations)
        #expect(used.intersection(excused) == [])
    }

    @Test func `the manual page has every command, and no line is taken for a macro`() throws {
        let root = try CommandDescription.root()
        let page = ManualPage.text(root, version: "1.2.3")
        for (name, _) in root.commands() { #expect(page.contains(".SS \(ManualPage.escaped(name))"), "\(name)") }
        #expect(ManualPage.escaped(".so /etc/passwd") == "\\&.so /etc/passwd")
        #expect(ManualPage.escaped(#"a\b"#) == #"a\eb"#)
        for line in page.split(separator: "\n") where line.hasPrefix(".") {
            #expect(line.prefixMatch(of: /\.(TH|SH|SS|B|I|TP|PP|nf|fi|RS|RE)\b/) != nil, "\(line)")
        }
    }

    @Test func `examples of every command are there`() throws {
        for (name, command) in try CommandDescription.root().commands() where name != "nightjar version" {
            #expect(command.paragraphs.contains { $0.isExample }, "\(name) has no example")
        }
    }

    @Test(arguments: CompletionShell.allCases)
    func `every shell gets a script that knows all commands`(shell: CompletionShell) throws {
        let script = NightjarCommand.completionScript(for: shell)
        for (name, _) in try CommandDescription.root().commands() {
            let last = try #require(name.split(separator: " ").last)
            #expect(script.contains(last), "\(shell.rawValue): \(name)")
        }
    }
}

/// What `doctor --fix` does.
@Suite struct RemedyTests {
    @Test func `files and directories are mended, and failures told`() async throws {
        let directory = NSTemporaryDirectory() + "nightjar-remedy-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(await Remedy(action: .makeDirectory(directory)).apply() == nil)
        let key = directory + "/api-key"
        _ = FileManager.default.createFile(atPath: key, contents: nil, attributes: [.posixPermissions: 0o644])
        #expect(
            await Diagnosis(dataDirectory: directory, server: nil).findings().first { $0.what == "API key" }?.verdict
                == .failure)
        #expect(await Remedy(action: .makePrivate(key, mode: 0o600)).apply() == nil)
        #expect(
            await Diagnosis(dataDirectory: directory, server: nil).findings().first { $0.what == "API key" }?.verdict
                == .ok)
        #expect(await Remedy(action: .remove(key)).apply() == nil)
        #expect(await Remedy(action: .remove(key)).apply() != nil)
        #expect(await Remedy(action: .run("/bin/true", [])).apply() == nil)
        let failure = await Remedy(action: .run("/bin/sh", ["-c", "echo broken >&2; exit 1"])).apply()
        #expect(failure?.contains("broken") == true)
    }

    @Test func `a socket that nobody listens on is found`() async throws {
        let directory = "/tmp/nightjar-stale-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func finding() async -> Diagnosis.Finding? {
            await Diagnosis(dataDirectory: directory, runDirectory: directory, server: nil).findings()
                .first { $0.what == "socket" }
        }
        #expect(await finding()?.verdict == .ok)
        _ = FileManager.default.createFile(atPath: directory + "/nightjar.sock", contents: nil)
        let stale = await finding()
        #expect(stale?.verdict == .warning)
        #expect(await stale?.remedy?.apply() == nil)
        #expect(await finding()?.verdict == .ok)
    }
}

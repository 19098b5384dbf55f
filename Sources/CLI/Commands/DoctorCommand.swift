internal import ArgumentParser
internal import Client
internal import SandboxModel

struct DoctorCommand: AsyncParsableCommand, FormattedCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what this machine needs, and say how to mend it.",
        discussion: """
            With --fix, mends what it can: missing packages, programs and the base template (by the project's own scripts, \
            if this program lies in a clone of it), directories, permissions and sockets that a killed server left. It \
            says what it would do, asks, and looks again afterwards. Exits with 1 if something that is needed is missing.

              sudo nightjar doctor
              sudo nightjar doctor --fix --yes
            """)

    @Flag(help: "Mend what can be mended; asks before each step.")
    var fix = false
    @Flag(name: [.customShort("y"), .long], help: "With --fix: do not ask.")
    var yes = false
    @Option(name: .customLong("data-dir"), help: "The server's data directory.", completion: .directory)
    var dataDirectory = "/var/lib/nightjar"
    @Option(name: .customLong("run-dir"), help: "Where the server's socket is.", completion: .directory)
    var runDirectory = "/run/nightjar"
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if yes && !fix { throw ValidationError("--yes belongs to --fix.") }
        if fix && !yes && (output.format == .json || !TerminalMode.standardInputIsTerminal) {
            throw ValidationError("Nobody can be asked here: add --yes to mend without questions.")
        }
    }

    func run() async throws {
        var findings = await diagnose()
        if fix { findings = try await mend(findings) }
        if output.format == .json {
            try Output.resource(findings)
        } else {
            for finding in findings { try show(finding) }
        }
        if findings.contains(where: { $0.verdict == .failure }) { throw ExitCode.failure }
    }

    private func diagnose() async -> [Diagnosis.Finding] {
        let server = try? await connection.withClient { try await $0.version() }
        return await Diagnosis(dataDirectory: dataDirectory, runDirectory: runDirectory, server: server).findings()
    }

    /// Applies the remedies in order, each to what is still wrong by then, and looks again.
    private func mend(_ findings: [Diagnosis.Finding]) async throws -> [Diagnosis.Finding] {
        var mended: [String: String] = [:]
        for finding in findings {
            guard finding.verdict != .ok, let remedy = finding.remedy else { continue }
            tell("\(finding.what): \(finding.detail)")
            guard yes || confirm("  run `\(remedy.description)`?") else { continue }
            let problem = try await Spinner(remedy.description, output.format).during { await remedy.apply() }
            tell("  \(remedy.description): \(problem ?? "done")")
            mended[finding.what] = problem.map { "not mended by `\(remedy.description)`: \($0)" } ?? remedy.description
        }
        guard !mended.isEmpty else { return findings }
        return await diagnose().map { finding in
            var finding = finding
            finding.mended = mended[finding.what]
            return finding
        }
    }

    private func tell(_ text: String) { if output.format == .table { ErrorReport.write(text) } }

    private func confirm(_ question: String) -> Bool {
        print("\(question) [y/N] ", terminator: "")
        return ["y", "yes"].contains(readLine()?.lowercased())
    }

    private func show(_ finding: Diagnosis.Finding) throws {
        let mark =
            switch finding.verdict {
            case .ok: Style.green.apply("ok     ", Style.onStandardOutput)
            case .warning: Style.yellow.apply("note   ", Style.onStandardOutput)
            case .failure: Style.red.apply("MISSING", Style.onStandardOutput)
            }
        try Output.line("\(mark)  \(finding.what): \(finding.detail)")
        if let hint = finding.hint { try Output.line("         \(hint)") }
        if let mended = finding.mended { try Output.line("         mended: \(mended)") }
    }
}

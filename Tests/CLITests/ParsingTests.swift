import ArgumentParser
import SandboxModel
import Testing

@testable import CLI

/// What the words of a command line become.
@Suite struct ParsingTests {
    private func parse<Command: ParsableCommand>(_ type: Command.Type, _ words: String...) throws -> Command {
        try #require(try NightjarCommand.parseAsRoot(words) as? Command)
    }

    @Test func `options of a sandbox become its specification`() throws {
        let create = try parse(
            CreateCommand.self, "create", "--name", "work", "-l", "team=ops", "--label", "a=b=c", "--idle-timeout",
            "60",
            "--on-idle", "stop", "--max-age", "3600", "--no-auto-resume", "--memory", "512", "--cpus", "0.5", "--pids",
            "64", "-e", "A=1")
        let spec = create.sandbox.spec()
        #expect(spec.name == "work")
        #expect(spec.labels == ["team": "ops", "a": "b=c"])
        #expect(spec.lifecycle == LifecyclePolicy(idleTimeout: 60, onIdle: .stop, maxAge: 3600, autoResume: false))
        #expect((spec.limits.memoryMiB, spec.limits.cpus, spec.limits.pids) == (512, 0.5, 64))
        #expect(KeyValue.dictionary(create.environment) == ["A": "1"])
    }

    @Test func `without options, the defaults are those of the model`() throws {
        #expect(try parse(CreateCommand.self, "create").sandbox.spec() == SandboxSpec())
    }

    @Test(arguments: [
        ["create", "-l", "no-equals"], ["create", "-l", "=value"], ["create", "--on-idle", "explode"],
        ["create", "--memory", "much"], ["ls", "--state", "tired"], ["ls", "-o", "xml"], ["rm"],
        ["rm", "--all", "work"], ["exec", "work"], ["exec", "-d", "-i", "work", "--", "cat"], ["run"],
        ["run", "--keep", "--rm", "--", "true"], ["signal", "work", "1", "WINK"], ["signal", "work", "-1"],
        ["cp", "a", "b"], ["cp", "one:/a", "two:/b"], ["cp", "work:relative", "."], ["completion", "tcsh"],
        ["top", "--interval", "0"], ["doctor", "--yes"], ["no-such-command"],
    ])
    func `what makes no sense is refused as wrong usage`(words: [String]) {
        var code: Int32 = 0
        do { _ = try NightjarCommand.parseAsRoot(words) } catch { code = NightjarCommand.exitCode(for: error).rawValue }
        #expect(code == 64, "\(words)")
    }

    @Test func `a command inside begins after the dashes, or with its first word`() throws {
        #expect(try commandWords(["--", "ls", "-l"], of: RunCommand.self) == ["ls", "-l"])
        #expect(try commandWords(["ls", "-l"], of: RunCommand.self) == ["ls", "-l"])
        #expect(throws: (any Error).self) { try commandWords(["--"], of: RunCommand.self) }
        #expect(throws: (any Error).self) { try commandWords(["--bogus"], of: RunCommand.self) }
        let exec = try parse(ExecCommand.self, "exec", "-e", "A=b", "-u", "root", "work", "--", "grep", "-e", "x")
        #expect(exec.sandbox == "work")
        #expect(try commandWords(exec.command, of: ExecCommand.self) == ["grep", "-e", "x"])
        let request = exec.process.request(["grep"])
        #expect((request.env, request.user) == (["A": "b"], "root"))
    }

    @Test func `signals have names and numbers`() {
        #expect(["15", "TERM", "SIGTERM", "sigterm"].map { SignalName.number($0) } == [15, 15, 15, 15])
        #expect(["0", "65", "NOPE", ""].map { SignalName.number($0) } == [nil, nil, nil, nil])
    }

    @Test func `both ends of a copy are told apart`() throws {
        func kind(_ text: String) throws -> String {
            switch try CopyEnd(text) {
            case .local: "local"
            case .sandbox(let name, _): name
            case .stream: "stream"
            }
        }
        let kinds = try ["work:/a", "-", "./a:/b", "dir/a:/b", "/a:/b", "a"].map(kind)
        #expect(kinds == ["work", "stream", "local", "local", "local", "local"])
    }

    @Test func `every command that shows something can show JSON`() throws {
        let list = try parse(ListCommand.self, "ls", "-o", "json", "--state", "running", "--state", "paused", "--tree")
        #expect(list.output.format == .json)
        #expect((list.state, list.tree) == ([.running, .paused], true))
        #expect(try parse(TopCommand.self, "top", "-o", "json").output.format == .json)
        #expect(try parse(DoctorCommand.self, "doctor", "--output", "json").output.format == .json)
    }
}

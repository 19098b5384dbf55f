import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct CommandLine {
        @Test func `run passes output, input and exit code on, and deletes its sandbox`() async throws {
            try await TestServer.with { server in
                let hello = try await server.nightjar("run", "--", "python3", "-c", "print(1)")
                #expect((hello.code, hello.text, hello.error) == (0, "1\n", ""))
                let both = try await server.nightjar(
                    "run", "sh", "-c", "cat; echo e >&2; exit 7", input: Array("in".utf8))
                #expect((both.code, both.text, both.error) == (7, "in", "e\n"))
                #expect(try await server.nightjar("run", "--", "sh", "-c", "kill -TERM $$").code == 143)
                #expect(try await server.nightjar("run", "--", "no-such-command").code == 127)
                #expect(try await server.client.allSandboxes().isEmpty)
                let kept = try await server.nightjar(
                    "run", "--name", "kept", "-e", "A=b", "-w", "/tmp", "--", "sh", "-c", "echo $A; pwd")
                #expect(kept.text == "b\n/tmp\n")
                #expect(try await server.client.allSandboxes().map(\.name) == ["kept"])
            }
        }

        @Test func `the user of the base template becomes root by sudo`() async throws {
            try await TestServer.with { server in
                #expect(try await server.nightjar("run", "--", "id", "-un").text == "agent\n")
                let root = try await server.nightjar("run", "--", "sudo", "sh", "-c", "id -u; exit 3")
                #expect((root.code, root.text) == (3, "0\n"))
                let other = try await server.nightjar("run", "-u", "nobody", "--", "sudo", "id", "-u")
                #expect(other.code != 0 && other.text.isEmpty)
            }
        }

        @Test func `an interrupted run ends the command and deletes its sandbox`() async throws {
            try await TestServer.with { server in
                let out = "\(server.directory)/out"
                _ = FileManager.default.createFile(atPath: out, contents: nil)
                let handle = try #require(FileHandle(forWritingAtPath: out))
                let child = try ChildProgram(
                    TestEnvironment.program,
                    ["run", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.1; done"],
                    variables: server.commandVariables, output: handle, error: handle)
                let text = { (try? String(contentsOfFile: out, encoding: .utf8)) ?? "" }
                _ = try await eventually("it runs") { text().contains("up") ? true : nil }
                child.signal(SIGINT)
                #expect(await child.wait() == 9)
                #expect(text() == "up\ncaught\n")
                #expect(try await server.client.allSandboxes().isEmpty)
            }
        }

        @Test func `errors have a message, a hint and their exit code, or are JSON`() async throws {
            try await TestServer.with { server in
                let missing = try await server.nightjar("inspect", "nobody")
                #expect(missing.code == 66)
                #expect(missing.error.hasPrefix("error: "))
                let json = try await server.nightjar("inspect", "nobody", "-o", "json")
                let error = try JSONDecoder().decode(ErrorResource.self, from: Data(json.error.utf8))
                #expect(error.error.code == .sandboxNotFound)
                #expect(try await server.nightjar("run", "--no-such-option").code == 64)
                #expect(try await server.nightjar("cp", "a", "b").code == 64)
                #expect(try await server.nightjar("create", "--name", "n").code == 0)
                #expect(try await server.nightjar("create", "--name", "n").code == 73)
                #expect(try await server.nightjar("run", "--template", "no-such", "--", "true").code == 66)
                let away = try await server.nightjar("ls", "--url", "unix:///nowhere")
                #expect(away.code == 69 && away.error.contains("hint: "))
            }
        }

        @Test func `every verb of a sandbox's life does what it says`() async throws {
            try await TestServer.with { server in
                let id = try await server.nightjar(
                    "create", "--name", "life", "-l", "team=ops", "--idle-timeout", "900")
                #expect(id.text.hasPrefix("sb_"))
                let list = try await server.nightjar("ls", "-l", "team=ops", "-o", "json")
                #expect(try JSONDecoder().decode([SandboxResource].self, from: Data(list.out)).map(\.name) == ["life"])
                #expect(try await server.nightjar("ls", "--state", "stopped", "-q").text == "")
                for (verb, state) in [
                    ("pause", "paused"), ("resume", "running"), ("standby", "standby"), ("resume", "running"),
                    ("stop", "stopped"), ("resume", "running"),
                ] {
                    #expect(try await server.nightjar(verb, "life").text == "life: \(state)\n")
                }
                let process = try await server.nightjar(
                    "exec", "-d", "life", "--", "sh", "-c", "echo o; echo e >&2; sleep 1000")
                let number = process.text.trimmingCharacters(in: .newlines)
                _ = try await eventually("it has written") {
                    let logs = try await server.nightjar("logs", "life", number)
                    return logs.text == "o\n" && logs.error == "e\n" ? true : nil
                }
                #expect(try await server.nightjar("ps", "life").text.contains("sleep 1000"))
                #expect(try await server.nightjar("ps", "-a", "life").text.contains("init"))
                #expect(try await server.nightjar("signal", "life", number, "KILL").code == 0)
                #expect(try await server.nightjar("logs", "-f", "life", number).code == 0)
                #expect(try await server.nightjar("events", "--sandbox", "life").text.contains("sandbox.standby"))
                #expect(try await server.nightjar("template", "ls").text.contains("base"))
                #expect(try await server.nightjar("capabilities").text.contains("standby"))
                #expect(try await server.nightjar("version").text.contains("server"))
                #expect(try await server.nightjar("rm", "--all").code == 1, "nobody is there to confirm it")
                #expect(try await server.nightjar("rm", "life").code == 0)
                #expect(try await server.nightjar("rm", "life").code == 66)
                #expect(try await server.nightjar("rm", "-f", "life").code == 0)
            }
        }

        @Test func `a tree is copied in and out without a difference`() async throws {
            try await TestServer.with { server in
                _ = try await server.client.makeSandbox("cp")
                let tree = server.directory + "/tree"
                try await Self.bash(
                    """
                    mkdir -p '\(tree)/a/b c' \(tree)/empty && cd \(tree) && chmod 700 empty
                    head -c 3000000 /dev/urandom > a/big; : > zero; printf x > 'a/b c/ü?&#%'; chmod 751 zero
                    for i in $(seq 50); do echo $i > a/f$i; done; ln -s ../zero a/link; ln -s /nowhere dangling
                    """)
                let into = try await server.nightjar("cp", tree, "cp:/workspace")
                #expect(into.code == 0, "\(into.error)")
                let back = try await server.nightjar("cp", "cp:/workspace/tree", server.directory + "/back")
                #expect(back.code == 0, "\(back.error)")
                let hash = { (place: String) in
                    try await Self.bash(
                        "cd \(place) && { find . -printf '%p %y %m %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum; } | sha256sum"
                    )
                }
                let (sent, returned) = (try await hash(tree), try await hash(server.directory + "/back"))
                #expect(sent == returned)
                #expect(try await server.nightjar("cp", "-", "cp:/workspace/in", input: Array("stream".utf8)).code == 0)
                #expect(try await server.nightjar("cp", "cp:/workspace/in", "-").text == "stream")
                #expect(try await server.nightjar("cp", "cp:/workspace/none", server.directory).code == 66)
            }
        }

        @Test func `a copy out of a sandbox stays in its destination and loses set-user-ID bits`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("trap")
                let target = server.directory + "/outside"
                try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
                try await client.sh(
                    "trap",
                    "mkdir /workspace/t; cd /workspace/t; ln -s \(target) link; cp /bin/true suid; chmod 4755 suid")
                let place = server.directory + "/copy"
                #expect(try await server.nightjar("cp", "trap:/workspace/t", place).code == 0)
                let mode = try FileManager.default.attributesOfItem(atPath: place + "/suid")[.posixPermissions] as? Int
                #expect(mode == 0o755)
                // The next copy has a directory where the destination has the symlink now.
                try await client.sh("trap", "cd /workspace/t; rm link; mkdir link; echo evil > link/file")
                let second = try await server.nightjar("cp", "trap:/workspace/t/.", place)
                #expect(second.code != 0)
                #expect(try FileManager.default.contentsOfDirectory(atPath: target).isEmpty)
            }
        }

        @Test func `shell is a terminal that can be left and come back to`() async throws {
            try await TestServer.with { server in
                _ = try await server.client.makeSandbox("sh")
                let transcript = server.directory + "/transcript"
                let command = "stty cols 97 rows 33; exec \(TestEnvironment.program) shell sh"
                let first = try await Self.terminal(
                    server, transcript, command,
                    typed: [("$", "stty size; export KEPT=$((40+2))\\n"), ("33 97", "\\x1d")])
                #expect(first.contains("33 97"))
                let again = try #require(
                    first.firstMatch(of: /nightjar (shell sh --process [0-9]+ --offset [0-9]+)/)?.1)
                let second = try await Self.terminal(
                    server, transcript, "\(TestEnvironment.program) \(again); echo CODE $?",
                    typed: [("", "echo KEPT=$KEPT.\\n"), ("KEPT=42.", "exit 6\\n")])
                #expect(second.contains("KEPT=42."))
                #expect(second.contains("CODE 6"))
            }
        }

        @discardableResult
        static func bash(_ script: String) async throws -> String {
            let result = try await ChildProgram.run(
                "/bin/bash", ["-c", script], variables: TestEnvironment.childVariables)
            guard result.code == 0 else { throw TestFailure("'\(script)' ended with \(result.code): \(result.error)") }
            return result.text
        }

        /// Runs a command on a pseudo-terminal; each text is typed when what comes before it has been shown.
        static func terminal(
            _ server: TestServer, _ transcript: String, _ command: String, typed: [(after: String, text: String)]
        ) async throws -> String {
            let steps = typed.map { "wait_for(b'''\($0.after)''')\nos.write(fd, b'''\($0.text)''')" }.joined(
                separator: "\n")
            let program = """
                import os, pty, sys, time, select
                pid, fd = pty.fork()
                if pid == 0: os.execv("/bin/bash", ["bash", "-c", sys.argv[1]])
                seen, at, end = b"", 0, time.time() + 30
                def more():
                    global seen
                    if not select.select([fd], [], [], max(0, end - time.time()))[0]: raise SystemExit("too late: %r" % seen)
                    try: piece = os.read(fd, 65536)
                    except OSError: piece = b""
                    seen += piece
                    return piece
                def wait_for(text):
                    global at
                    while text not in seen[at:]:
                        if not more(): raise SystemExit("ended: %r" % seen)
                    at = len(seen)
                \(steps)
                while more(): pass
                os.waitpid(pid, 0)
                sys.stdout.buffer.write(seen)
                """
            let result = try await ChildProgram.run(
                "/usr/bin/python3", ["-c", program, command], variables: server.commandVariables)
            guard result.code == 0 else { throw TestFailure("the terminal: \(result.error)") }
            return result.text
        }
    }
}

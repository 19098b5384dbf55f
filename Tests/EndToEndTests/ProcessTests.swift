import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    @Suite struct Processes {
        @Test func `outputs are apart, input arrives, and the exit code is the command's`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("p")
                var request = ExecRequest(command: ["sh", "-c", "cat; echo e >&2; exit 7"])
                request.stdin = "input"
                let result = try await client.exec("p", request)
                #expect((result.stdout, result.stderr, result.exitCode) == ("input", "e\n", 7))
                let killed = try await client.exec("p", ExecRequest(command: ["sh", "-c", "kill -9 $$"]))
                #expect((killed.exitCode, killed.signal) == (137, 9))
                var slow = ExecRequest(command: ["sleep", "60"])
                slow.timeout = 0.2
                let late = try await client.exec("p", slow)
                #expect(late.timedOut)
                #expect(
                    await code { _ = try await client.exec("p", ExecRequest(command: ["no-such"])) } == .cannotExecute)
            }
        }

        @Test func `environment, directory and user are as asked for`() async throws {
            try await TestServer.with { server in
                let client = server.client
                var spec = SandboxSpec(name: "e", environment: ["OF_SANDBOX": "s", "BOTH": "s"])
                spec.lifecycle.idleTimeout = 3600
                _ = try await client.create(spec)
                var request = ExecRequest(command: ["sh", "-c", "echo $OF_SANDBOX $BOTH $(pwd) $(id -un)"])
                request.env = ["BOTH": "p"]
                #expect(try await client.exec("e", request).stdout == "s p /workspace agent\n")
                request.directory = "/tmp"
                request.user = "root"
                #expect(try await client.exec("e", request).stdout == "s p /tmp root\n")
                request.user = "nobody-such"
                #expect(await code { _ = try await client.exec("e", request) } == .noSuchUser)
            }
        }

        @Test func `attached, a process streams both ways, and its reader may go and come back by offset`() async throws
        {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("a")
                let process = try await client.background(
                    "a", ["sh", "-c", "while read l; do echo got $l; done"], openStdin: true)
                let offset = try await client.attach("a", process.id) { attachment in
                    try await attachment.send(Array("one\n".utf8))
                    var text = ""
                    for try await event in attachment.events {
                        if case .stdout(let bytes) = event { text += String(decoding: bytes, as: UTF8.self) }
                        if text.hasSuffix("\n") { break }
                    }
                    #expect(text == "got one\n")
                    return Int64(text.utf8.count)
                }
                try await client.write("a", process.id, Array("two\n".utf8))
                try await client.output("a", process.id, contains: "got two")
                try await client.attach("a", process.id, offset: offset) { attachment in
                    try await attachment.send(Array("three\n".utf8))
                    try await attachment.closeInput()
                    var text = ""
                    var exit: ExitResource?
                    for try await event in attachment.events {
                        if case .stdout(let bytes) = event { text += String(decoding: bytes, as: UTF8.self) }
                        if case .exit(let end) = event { exit = end }
                    }
                    #expect(text == "got two\ngot three\n")
                    #expect(exit?.code == 0)
                }
            }
        }

        @Test func `an exit code outlives the client that started the process, the server, and a sleep`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("x")
                let process = try await client.background("x", ["sh", "-c", "echo out; sleep 0.3; exit 23"])
                try await server.restart()
                #expect(try await client.wait("x", process.id).code == 23)
                _ = try await client.standby("x")
                try await server.restart()
                #expect(try await client.process("x", process.id).exit?.code == 23)
                #expect(try await client.allOutput("x", process.id) == "out\n")
            }
        }

        @Test func `a running process and its output are there again after the server was killed`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("r")
                let process = try await client.background(
                    "r", ["sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"])
                try await client.output("r", process.id, contains: "line 5\n")
                await server.kill()
                try await Task.sleep(for: .milliseconds(300))
                try await server.start()
                let text = try await eventually("it went on meanwhile") { () -> String? in
                    let text = try await client.allOutput("r", process.id)
                    return text.contains("line 20\n") ? text : nil
                }
                let lines = text.split(separator: "\n").map(String.init)
                #expect(lines == (1...lines.count).map { "line \($0)" }, "no line is missing and none is there twice")
                try await client.signal("r", process.id, 15)
                let exit = try await client.wait("r", process.id)
                #expect((exit.code, exit.signal) == (143, 15))
            }
        }

        @Test func `a follower sees the output across a sleep, and does not keep the sandbox awake`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("f")
                let process = try await client.background(
                    "f", ["sh", "-c", "echo before; while ! [ -e /tmp/go ]; do sleep 0.1; done; echo after; exit 3"])
                try await client.output("f", process.id, contains: "before")
                try await withThrowingTaskGroup(of: (String, Int32).self) { group in
                    group.addTask {
                        var text = ""
                        for try await event in try await client.followOutput("f", process.id) {
                            switch event {
                            case .output(let chunk):
                                text += String(decoding: Data(base64Encoded: chunk.dataBase64) ?? Data(), as: UTF8.self)
                            case .exit(let exit): return (text, exit.code)
                            }
                        }
                        return (text, -1)
                    }
                    #expect(try await client.standby("f").state == .standby)
                    try await client.sh("f", "touch /tmp/go")
                    let seen = try await group.next()
                    #expect(seen?.0 == "before\nafter\n")
                    #expect(seen?.1 == 3)
                }
            }
        }

        @Test func `a terminal has the size that it is given, and Ctrl-C interrupts`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("t")
                var request = ExecRequest(command: ["bash", "--norc"])
                request.terminal = .init(columns: 91, rows: 31)
                let process = try await client.start("t", request)
                try await client.attach("t", process.id) { terminal in
                    var events = terminal.events.makeAsyncIterator()
                    var seen = ""
                    func until(_ text: String) async throws {
                        while !seen.contains(text) {
                            guard let event = try await events.next() else { throw TestFailure("ended: \(seen)") }
                            if case .stdout(let bytes) = event { seen += String(decoding: bytes, as: UTF8.self) }
                        }
                        seen = ""
                    }
                    try await terminal.send(Array("stty size\n".utf8))
                    try await until("31 91")
                    try await terminal.resize(columns: 133, rows: 44)
                    try await terminal.send(Array("stty size\n".utf8))
                    try await until("44 133")
                    try await terminal.send(Array("sleep 100; echo \"code $?\"\n".utf8))
                    try await until("sleep 100")
                    try await client.resize("t", process.id, columns: 20, rows: 10)
                    _ = try await eventually("sleep runs") {
                        try await client.processTable("t").contains { $0.command.contains("sleep") } ? true : nil
                    }
                    try await terminal.send([3])
                    try await terminal.send(Array("stty size; echo 'done'\n".utf8))
                    try await until("10 20")
                    try await terminal.send(Array("exit 5\n".utf8))
                    while let event = try await events.next() {
                        if case .exit(let exit) = event { #expect(exit.code == 5) }
                    }
                }
            }
        }
    }
}

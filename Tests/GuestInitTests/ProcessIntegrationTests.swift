import Glibc
import Testing
import Wire

@Suite(.serialized) struct ProcessIntegrationTests {
    @Test func `a process's outputs, its exit code and its environment come back`() throws {
        let guest = try TestGuest()
        let stream = try guest.run("echo out; echo err >&2; echo $HOME $USER; exit 7")
        #expect(stream.text == "out\n/root root\n")
        #expect(stream.errors == Array("err\n".utf8))
        #expect(stream.exit?.code == 7)
        #expect(stream.exit?.signal == 0)
    }

    @Test func `ten megabytes arrive whole, through windows and a small retained ring`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("head -c 10000000 /dev/zero | tr '\\0' x")
        start.retainedBytes = 4096
        let stream = try guest.finish(try guest.start(start), seconds: 60)
        #expect(stream.output.count == 10_000_000)
        #expect(stream.output.allSatisfy { $0 == UInt8(ascii: "x") })
    }

    @Test func `input reaches the process in order and its end is an end`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("sha1sum")
        start.input = .pipe
        let stream = try guest.start(start)
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        try guest.give(bytes, to: stream)
        try guest.finish(stream)
        let expected = try guest.run(
            "python3 -c 'import hashlib; print(hashlib.sha1(bytes((i//251)%256 for i in range(1000000))).hexdigest())'")
        #expect(stream.text.prefix(40) == expected.text.prefix(40))
        #expect(expected.exit?.code == 0)
    }

    @Test(arguments: [
        (["no-such-program"], WireStatus.Code.cannotExecute), (["/etc/passwd"], .cannotExecute), ([], .invalid),
        (["a\0b"], .invalid),
    ])
    func `what cannot be started is told, with the reason`(arguments: [String], code: WireStatus.Code) throws {
        let guest = try TestGuest()
        #expect { try guest.finish(guest.open(.processStart(ProcessStart(arguments: arguments)))) } throws: {
            ($0 as? WireStatus)?.code == code
        }
    }

    @Test func `a rehearsal leaves nothing, and comes before everything else`() throws {
        let guest = try TestGuest()
        let directory = "/tmp/rehearsal-\(getpid())"
        #expect(try guest.ask(.rehearse(TestGuest.shell("mkdir \(directory); echo x; exit 3"))) == .ok)
        #expect(rmdir(directory) == 0)
        #expect(try guest.ask(.processList) == .processes([]))
        let stream = try guest.run("true")
        #expect(stream.exit?.code == 0)
        guard case .processes(let listed) = try guest.ask(.processList) else { throw WireStatus(.failed) }
        #expect(listed.map(\.id) == [1])
        #expect { try guest.ask(.rehearse(TestGuest.shell("true"))) } throws: { ($0 as? WireStatus)?.code == .invalid }
    }

    @Test func `an unknown user, directory and limit are told`() throws {
        let guest = try TestGuest()
        var user = TestGuest.shell("true")
        user.user = "no-such-user"
        #expect { try guest.start(user) } throws: { ($0 as? WireStatus)?.code == .noSuchUser }
        var directory = TestGuest.shell("true")
        directory.directory = "/no/such"
        #expect { try guest.start(directory) } throws: { ($0 as? WireStatus)?.code == .notFound }
        directory.directory = "relative"
        #expect { try guest.start(directory) } throws: { ($0 as? WireStatus)?.code == .invalid }
        var limit = TestGuest.shell("true")
        limit.limits = [.init(resource: 200, soft: 1, hard: 1)]
        #expect { try guest.start(limit) } throws: { ($0 as? WireStatus)?.code == .invalid }
    }

    @Test func `a process runs as the user that was asked for, in the directory and limits that were asked for`() throws
    {
        let guest = try TestGuest()
        var start = TestGuest.shell("id -u; id -g; id -G; pwd; ulimit -n")
        start.user = "12:34"
        start.directory = "/usr"
        start.limits = [.init(resource: 7, soft: 77, hard: 88)]
        let stream = try guest.finish(try guest.start(start))
        #expect(stream.text == "12\n34\n34\n/usr\n77\n")
    }

    @Test func `a terminal has the size that it is given, and changes it`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("trap 'stty size; exit 5' WINCH; stty size; while :; do sleep 0.02; done")
        start.terminal = .init(columns: 101, rows: 31)
        let stream = try guest.start(start)
        try guest.until("the first size") { _ in stream.text.contains("31 101") }
        let id = try #require(stream.process?.id)
        try guest.ask(.processResize(id: id, columns: 120, rows: 40))
        try guest.finish(stream)
        #expect(stream.text.contains("40 120"))
        #expect(stream.exit?.code == 5)
    }

    @Test func `a timeout ends a process, and one that ignores it is killed`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("sleep 100")
        start.timeoutMilliseconds = 100
        let polite = try guest.finish(try guest.start(start))
        #expect(polite.exit?.timedOut == true)
        #expect(polite.exit?.signal == 15)
        start.arguments[2] = "trap '' TERM; while :; do sleep 0.05; done"
        let deaf = try guest.finish(try guest.start(start))
        #expect(deaf.exit?.timedOut == true)
        #expect(deaf.exit?.signal == 9)
        #expect(deaf.exit?.code == 137)
    }

    @Test func `a signal goes to the whole group or to the process alone`() throws {
        let guest = try TestGuest()
        let stream = try guest.start(
            TestGuest.shell("trap 'echo caught' USR1; echo ready; while :; do sleep 0.02; done"))
        try guest.until("ready") { _ in stream.text.contains("ready") }
        let id = try #require(stream.process?.id)
        try guest.ask(.processSignal(id: id, signal: 10, group: false))
        try guest.until("caught") { _ in stream.text.contains("caught") }
        try guest.ask(.processSignal(id: id, signal: 9, group: true))
        try guest.finish(stream)
        #expect(stream.exit?.signal == 9)
        #expect { try guest.ask(.processSignal(id: id, signal: 9, group: true)) } throws: {
            ($0 as? WireStatus)?.code == .exited
        }
        #expect { try guest.ask(.processSignal(id: 999, signal: 9, group: true)) } throws: {
            ($0 as? WireStatus)?.code == .notFound
        }
    }

    @Test func `output is found again by offset, during and after the process's life`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("echo one; echo two; read line; echo $line")
        start.input = .pipe
        start.attach = false
        let detached = try guest.finish(try guest.start(start))
        let id = try #require(detached.process?.id)
        try guest.until("both lines") { guest in
            guard case .processes(let list) = try guest.ask(.processList) else { return false }
            return list.first?.outputEnd == 8
        }
        let attached = guest.open(.processAttach(.init(id: id, offset: 4)))
        try guest.until("two") { _ in attached.text == "two\n" }
        try guest.give(Array("three\n".utf8), to: attached)
        try guest.finish(attached)
        #expect(attached.text == "two\nthree\n")
        #expect(attached.exit?.code == 0)
        let late = try guest.finish(guest.open(.processAttach(.init(id: id))))
        #expect(late.text == "one\ntwo\nthree\n")
        #expect(late.exit == attached.exit)
        guard case .exited(let waited) = try guest.ask(.processWait(id: id)) else {
            Issue.record("no exit")
            return
        }
        #expect(waited == attached.exit)
    }

    @Test func `a reader that does not read makes its process wait, and nobody else`() throws {
        let guest = try TestGuest()
        let slow = guest.open(.processStart(TestGuest.shell("head -c 5000000 /dev/zero; echo done >&2")))
        slow.creditsByItself = false
        try guest.until("a full window") { _ in slow.output.count == Frame.initialWindow }
        for _ in 0..<20 { #expect(try guest.run("echo quick").text == "quick\n") }
        #expect(slow.exit == nil)
        guard case .processes(let list) = try guest.ask(.processList) else { return }
        let lag = try #require(list.first { $0.id == slow.process?.id })
        #expect(lag.exit == nil)
        #expect(lag.outputEnd < 5_000_000)
        slow.creditsByItself = true
        guest.credit(slow.output.count, slow)
        try guest.finish(slow)
        #expect(slow.output.count == 5_000_000)
        #expect(slow.errors == Array("done\n".utf8))
    }

    @Test func `an observer never makes the process wait and is told when it is behind`() throws {
        let guest = try TestGuest()
        var start = TestGuest.shell("read go; head -c 5000000 /dev/zero")
        start.input = .pipe
        start.attach = false
        let id = try #require(try guest.finish(try guest.start(start)).process?.id)
        let observer = guest.open(.processAttach(.init(id: id, observer: true)))
        observer.creditsByItself = false
        let input = guest.open(.processAttach(.init(id: id, offset: -1)))
        try guest.give(Array("go\n".utf8), to: input)
        try guest.finish(input)
        #expect(input.output.count == 5_000_000)
        observer.creditsByItself = true
        guest.credit(max(1, observer.output.count), observer)
        #expect { try guest.finish(observer) } throws: { ($0 as? WireStatus)?.code == .behind }
    }

    @Test func `an exit does not wait for a daemon that keeps the output open`() throws {
        let guest = try TestGuest()
        let stream = try guest.run("(sleep 30; echo late) & echo early")
        #expect(stream.text == "early\n")
        #expect(stream.exit?.code == 0)
    }

    @Test func `orphans are reaped`() throws {
        let guest = try TestGuest()
        _ = try guest.run("for i in 1 2 3 4 5 6 7 8; do (sleep 0.05 &) ; done")
        try guest.until("an empty process table") { guest in
            guard case .table(let table) = try guest.ask(.processTable) else { return false }
            return table.count == 1 && table[0].pid == 1
        }
    }

    @Test func `a new session keeps processes and output, and ends those that were to end with their host`() throws {
        let guest = try TestGuest()
        let kept = try guest.start(TestGuest.shell("echo begun; while :; do sleep 0.02; done"))
        var tied = TestGuest.shell("while :; do sleep 0.02; done")
        tied.killOnDetach = true
        let lost = try guest.start(tied)
        try guest.until("begun") { _ in kept.text == "begun\n" }
        let boot = guest.hello?.boot
        let keptID = try #require(kept.process?.id)
        let lostID = try #require(lost.process?.id)
        guest.write((0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        try guest.beginSession()
        #expect(guest.hello?.boot == boot)
        guard case .exited(let exit) = try guest.ask(.processWait(id: lostID)) else { return }
        #expect(exit.signal == 1)
        let again = guest.open(.processAttach(.init(id: keptID)))
        try guest.until("the retained output") { _ in again.text == "begun\n" }
        #expect(again.process?.exit == nil)
        try guest.ask(.processSignal(id: keptID, signal: 9, group: true))
        try guest.finish(again)
        #expect(again.exit?.signal == 9)
    }

    @Test func `a shutdown ends everything politely, then by force, and the init exits 0`() throws {
        let guest = try TestGuest()
        let polite = try guest.start(
            TestGuest.shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"))
        let deaf = try guest.start(TestGuest.shell("trap '' TERM; echo up; while :; do sleep 0.02; done"))
        try guest.until("both") { _ in polite.text == "up\n" && deaf.text == "up\n" }
        #expect(try guest.ask(.shutdown(graceMilliseconds: 300)) == .ok)
        try guest.finish(polite)
        #expect(polite.text == "up\nbye\n")
        #expect(polite.exit?.code == 3)
        try guest.finish(deaf)
        #expect(deaf.exit?.signal == 9)
        #expect(try guest.exitCode() == 0)
    }

    @Test func `sessions that end in the middle of things leave no descriptors open`() throws {
        let guest = try TestGuest()
        func descriptors() throws -> Int { try guest.run("ls /proc/1/fd").text.split(separator: "\n").count }
        // Threads and what they share are started once and stay.
        _ = try guest.finish(guest.open(.fileRead(path: Array("/proc/1/stat".utf8), offset: 0, length: -1)))
        let before = try descriptors()
        for _ in 0..<10 {
            for _ in 0..<5 {
                _ = guest.open(.fileRead(path: Array("/proc/self/exe".utf8), offset: 0, length: -1))
                _ = guest.open(.fileList(path: Array("/usr/lib".utf8), depth: 64))
                _ = guest.open(.watch(path: Array("/etc".utf8), recursive: true))
            }
            try guest.beginSession()
        }
        try guest.until("the descriptors to be closed") { _ in try descriptors() <= before }
    }

    @Test func `a termination signal shuts the sandbox down`() throws {
        let guest = try TestGuest()
        let stream = try guest.start(TestGuest.shell("trap 'exit 4' TERM; kill -TERM 1; while :; do sleep 0.02; done"))
        try guest.finish(stream)
        #expect(stream.exit?.code == 4)
        #expect(try guest.exitCode() == 0)
    }

    @Test func `an init whose host hung up shuts down`() throws {
        let guest = try TestGuest()
        _ = try guest.start(TestGuest.shell("while :; do sleep 0.02; done"))
        guest.hangUp()
        #expect(try guest.exitCode() == 0)
    }
}

internal import Client
internal import SandboxModel

/// The main job, step by step, on a real sandbox. Whoever runs it deletes the sandbox if it fails.
struct Demonstration {
    let client: NightjarClient
    let report: DemoReport
    let name: String
    let template: String
    let idleTimeout: Double
    /// Whether the server's processes can be seen in this machine's `/proc`.
    let isLocal: Bool

    func run() async throws -> DemoReport.Result {
        var spec = SandboxSpec(name: name, template: template, labels: ["nightjar-demo": "true"])
        spec.lifecycle = LifecyclePolicy(idleTimeout: idleTimeout, onIdle: .standby)
        report.step(
            "Create a sandbox. It has a name, so it is kept until it is deleted.",
            command: "create --name \(name) --template \(template) --idle-timeout \(seconds(idleTimeout))")
        let created = try await timed {
            let sandbox = try await client.create(spec, idempotencyKey: randomToken(32))
            return (sandbox, try await client.exec(name, ExecRequest(command: ["true"])))
        }
        let sandbox = created.result.0
        report.check("its first command succeeded", created.result.1.exitCode == 0)
        report.figure("create to the end of the first command", created.milliseconds)
        var result = try await mainJob(sandbox)
        try await delete(sandbox)
        result.figures = report.figures
        result.checks = report.checks
        result.holds = report.holds
        return result
    }

    private func mainJob(_ sandbox: SandboxResource) async throws -> DemoReport.Result {
        let first = try await startCounter()
        try await measureExec()
        let awake = try await client.metrics(name)
        let seen = lookAtHost(sandbox, awake)
        let available = HostView.availableMemory()
        try await waitForSleep()
        let asleep = try await proveAbsence(sandbox, seen, awake, available)
        let sleeping = try await client.sandbox(name)
        try await wake(first)
        try await measurePause()
        return DemoReport.Result(
            sandbox: sandbox.id.rawValue, figures: [], checks: [], memoryBytesAwake: awake.memoryBytes,
            memoryBytesAsleep: asleep.memoryBytes, checkpointBytes: sleeping.checkpointBytes, holds: false)
    }

    // MARK: Awake

    private func startCounter() async throws -> DemoCounter.Answer {
        report.step(
            "Start Python in the background. It keeps a counter, a random token and \(DemoCounter.memoryMiB) MiB of random"
                + " bytes in memory.",
            command: "exec -d \(name) -- python3 \(DemoCounter.path)")
        try await client.write(name, SandboxPath(DemoCounter.path), bytes: Array(DemoCounter.program.utf8))
        var request = ExecRequest(command: ["python3", DemoCounter.path])
        request.background = true
        let process = try await client.start(name, request)
        try await waitUntilReady(process.id)
        report.step("Call it three times.", command: "exec \(name) -- \(DemoCounter.callAsTyped)")
        var answers: [DemoCounter.Answer] = []
        for _ in 1...3 { answers.append(try await call()) }
        report.tell(
            "counter: \(answers.map { "\($0.counter)" }.joined(separator: ", "))   pid inside: \(answers[2].pid)")
        report.check("the counter in memory goes up", answers.map(\.counter) == [1, 2, 3])
        return answers[2]
    }

    private func waitUntilReady(_ process: UInt32) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try await client.output(name, process).nextOffset == 0 {
            guard ContinuousClock.now < deadline else {
                throw SandboxError(.deadlineExceeded, "The demonstration's program did not start within 30 s.")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func call() async throws -> DemoCounter.Answer {
        let result = try await client.exec(name, ExecRequest(command: DemoCounter.call))
        guard result.exitCode == 0, let answer = DemoCounter.Answer(result.stdout) else {
            throw SandboxError(
                .guestFailed, "The demonstration's program did not answer: \(Human.plain(result.stderr))")
        }
        return answer
    }

    private func measureExec() async throws {
        var samples = Samples()
        for _ in 1...20 {
            samples.add(try await timed { try await client.exec(name, ExecRequest(command: ["true"])) }.milliseconds)
        }
        report.figure("run a command in it", samples.median, samples: samples.count)
    }

    private func lookAtHost(_ sandbox: SandboxResource, _ metrics: SandboxMetricsResource) -> [HostProcess] {
        report.step("Look at it from the host while it is awake.", command: "inspect \(name)")
        report.tell("\(metrics.hostProcesses) processes, \(Human.bytes(Int64(clamping: metrics.memoryBytes))) of RAM")
        report.check("it has processes on the host", metrics.hostProcesses > 0)
        report.check(
            "its memory is in RAM", metrics.memoryBytes >= UInt64(DemoCounter.memoryMiB) << 20)
        guard isLocal else { return [] }
        let processes = HostView.processes(of: sandbox.id.rawValue)
        // gVisor keeps a stub process for each address space inside, besides its own.
        let (stubs, own) = processes.partitioned { HostView.title($0) == "exe" }
        for process in own { report.tell("pid \(process.pid)  \(HostView.title(process))") }
        if !stubs.isEmpty {
            report.tell("and \(stubs.count) stubs: \(stubs.map { "\($0.pid)" }.joined(separator: " "))")
        }
        report.check("/proc shows processes of \(sandbox.id)", !processes.isEmpty)
        return processes
    }

    // MARK: Asleep

    private func waitForSleep() async throws {
        report.step("Do nothing. After \(seconds(idleTimeout)) s without use it falls asleep by itself.")
        let clock = ContinuousClock()
        let start = clock.now
        var began: ContinuousClock.Instant?
        while true {
            let sandbox = try await client.sandbox(name)
            if sandbox.state == .suspending && began == nil { began = clock.now }
            if sandbox.state == .standby { break }
            guard clock.now - start < .seconds(idleTimeout + 60) else {
                let why = sandbox.awakeBecause.joined(separator: "; ")
                report.check("it fell asleep (\(sandbox.state.rawValue): \(why))", false)
                throw SandboxError(.deadlineExceeded, "The sandbox did not fall asleep.")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        let end = clock.now
        report.check("it fell asleep by itself", true)
        report.figure("last call to asleep (of it \(seconds(idleTimeout)) s idle)", (end - start).milliseconds)
        if let began { report.figure("falling asleep: memory and files durable on disk", (end - began).milliseconds) }
    }

    private func proveAbsence(
        _ sandbox: SandboxResource, _ seen: [HostProcess], _ awake: SandboxMetricsResource, _ available: Int64?
    ) async throws -> SandboxMetricsResource {
        report.step("Look at it from the host again.", command: "inspect \(name)")
        // The last of its processes may be ending at this moment.
        let deadline = ContinuousClock.now + .seconds(5)
        var metrics = try await client.metrics(name)
        while metrics.hostProcesses > 0 || seen.contains(where: \.isThere), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
            metrics = try await client.metrics(name)
        }
        report.check("it has no process on the host", metrics.hostProcesses == 0)
        if isLocal {
            report.check("the \(seen.count) pids from before are gone", !seen.contains(where: \.isThere))
            report.check("/proc shows no process of \(sandbox.id)", HostView.processes(of: sandbox.id.rawValue).isEmpty)
        }
        let (before, after) = (
            Human.bytes(Int64(clamping: awake.memoryBytes)), Human.bytes(Int64(clamping: metrics.memoryBytes))
        )
        report.check("its RAM is back: \(before) before, \(after) now", metrics.memoryBytes == 0)
        if isLocal, let available, let now = HostView.availableMemory() {
            let difference = Human.bytes(abs(now - available))
            report.tell(
                "available RAM of the whole machine: \(difference) \(now < available ? "less" : "more") than before")
        }
        if let bytes = try await client.sandbox(name).checkpointBytes {
            report.tell("its memory on disk: \(Human.bytes(bytes))")
        }
        report.check("looking at it did not wake it", try await client.sandbox(name).state == .standby)
        return metrics
    }

    // MARK: Awake again

    private func wake(_ before: DemoCounter.Answer) async throws {
        report.step("Wake it by simply calling it.", command: "exec \(name) -- \(DemoCounter.callAsTyped)")
        let woken = try await timed { try await call() }
        let answer = woken.result
        report.tell("counter: \(answer.counter)   pid inside: \(answer.pid)")
        report.figure("wake: call to answer", woken.milliseconds)
        report.check("the counter in memory went on", answer.counter == before.counter + 1)
        report.check("it is the same process", answer.pid == before.pid && answer.token == before.token)
        report.check("its \(DemoCounter.memoryMiB) MiB of memory are the same", answer.memoryHash == before.memoryHash)
        let log = String(decoding: try await client.contents(name, SandboxPath(DemoCounter.logPath)), as: UTF8.self)
        let lines = log.split(separator: "\n").compactMap { Int($0) }
        report.check("the file went on, too: \(lines.map(String.init).joined(separator: ", "))", lines == [1, 2, 3, 4])
        report.check("it woke once", try await client.sandbox(name).wakes == 1)
    }

    private func measurePause() async throws {
        report.step("Pause and resume it in RAM.", command: "pause \(name) && nightjar resume \(name)")
        var (pauses, resumes) = (Samples(), Samples())
        for _ in 1...20 {
            pauses.add(try await timed { try await client.pause(name) }.milliseconds)
            resumes.add(try await timed { try await client.resume(name) }.milliseconds)
        }
        report.figure("pause", pauses.median, samples: pauses.count)
        report.figure("resume", resumes.median, samples: resumes.count)
        report.check("it still counts", try await call().counter == 5)
    }

    private func delete(_ sandbox: SandboxResource) async throws {
        report.step("Delete it.", command: "rm \(name)")
        report.figure("delete", try await timed { try await client.delete(name) }.milliseconds)
        let isGone: Bool
        do {
            _ = try await client.sandbox(name)
            isGone = false
        } catch let error as SandboxError where error.code == .sandboxNotFound {
            isGone = true
        }
        report.check("it is gone", isGone)
        if isLocal {
            report.check("/proc shows no process of \(sandbox.id)", HostView.processes(of: sandbox.id.rawValue).isEmpty)
        }
    }

    private func seconds(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }
}

extension Array {
    fileprivate func partitioned(_ isFirst: (Element) -> Bool) -> (first: [Element], rest: [Element]) {
        (filter(isFirst), filter { !isFirst($0) })
    }
}

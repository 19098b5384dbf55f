internal import Client
internal import SandboxModel

/// Measures the server and its baselines in turns, so that both meet the same machine.
struct Bench: Sendable {
    let client: NightjarClient
    let baseline: RunscBaseline
    let samples: Int
    let warmUp: Int
    let template: String
    /// Tells of the progress.
    let tell: @Sendable (String) -> Void

    static let label = ["nightjar-bench": "true"]

    func exec() async throws -> BenchRow {
        let sandbox = try await create()
        try await baseline.startIdle("exec")
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("exec") { counts in
            let time = try await timed { try await runTrue(sandbox) }.milliseconds
            let other = try await baseline.exec("exec")
            if counts {
                ours.add(time)
                theirs.add(other)
            }
        }
        try await client.delete(sandbox)
        _ = try await baseline.delete("exec")
        return BenchRow("exec of /bin/true", ours, against: ("runsc exec", theirs), bar: .ratio(0.2))
    }

    /// With a sandbox that was booted ahead: every sample waits until the server has made as many as it wants, so that
    /// none is being booted meanwhile, and the baseline waits, too.
    func timeToInteractive() async throws -> BenchRow {
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("create to first exec") { counts in
            try await untilPrebooted()
            let made = try await timed {
                let sandbox = try await create()
                try await run(sandbox, ["/bin/echo", "x"])
                return sandbox
            }
            try await client.delete(made.result)
            try await untilPrebooted()
            let other = try await baseline.runToFirstByte("run")
            if counts {
                ours.add(made.milliseconds)
                theirs.add(other)
            }
        }
        return BenchRow(
            "create to first exec, booted ahead", ours, against: ("runsc run to first output", theirs), bar: .below(25))
    }

    /// The same when nothing fits that was booted ahead: only a process was.
    func coldTimeToInteractive() async throws -> BenchRow {
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("create to first exec, not booted ahead") { counts in
            let made = try await timed {
                let sandbox = try await create(unusual: true)
                try await run(sandbox, ["/bin/echo", "x"])
                return sandbox
            }
            try await client.delete(made.result)
            let other = try await baseline.runToFirstByte("run")
            if counts {
                ours.add(made.milliseconds)
                theirs.add(other)
            }
        }
        return BenchRow(
            "create to first exec, not booted ahead", ours, against: ("runsc run to first output", theirs),
            bar: .ratio(1.3))
    }

    func pauseAndResume() async throws -> [BenchRow] {
        let sandbox = try await create()
        var (pauses, resumes) = (Samples(), Samples())
        try await rounds("pause and resume") { counts in
            let pause = try await timed { try await client.pause(sandbox) }.milliseconds
            let resume = try await timed { try await client.resume(sandbox) }.milliseconds
            if counts {
                pauses.add(pause)
                resumes.add(resume)
            }
        }
        try await client.delete(sandbox)
        return [
            BenchRow("pause in RAM", pauses, bar: .below(3)),
            BenchRow("resume in RAM", resumes, bar: .below(3)),
        ]
    }

    func wake() async throws -> BenchRow {
        let sandbox = try await create()
        try await touchMemory(sandbox, mebibytes: 64)
        let image = try await baseline.makeImage("image")
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("wake from disk") { counts in
            _ = try await client.standby(sandbox)
            let time = try await timed { try await runTrue(sandbox) }.milliseconds
            let other = try await baseline.restore("restore", image: image)
            _ = try await baseline.delete("restore")
            if counts {
                ours.add(time)
                theirs.add(other)
            }
        }
        let wakes = try await client.sandbox(sandbox).wakes
        guard wakes == samples + warmUp else {
            throw SandboxError(.internalError, "The sandbox woke \(wakes) times instead of \(samples + warmUp).")
        }
        try await client.delete(sandbox)
        return BenchRow(
            "wake from disk to exec's answer, 64 MiB", ours, against: ("runsc restore", theirs), bar: .ratio(0.75))
    }

    func delete() async throws -> BenchRow {
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("delete") { counts in
            let sandbox = try await create()
            let time = try await timed { try await client.delete(sandbox) }.milliseconds
            try await baseline.startIdle("delete")
            let other = try await baseline.delete("delete")
            if counts {
                ours.add(time)
                theirs.add(other)
            }
        }
        return BenchRow(
            "delete a running sandbox", ours, against: ("runsc delete -force", theirs), bar: .below(80))
    }

    // MARK: Parts

    func rounds(
        _ what: String, of count: Int? = nil, _ round: (_ counts: Bool) async throws -> Void
    ) async throws {
        let warmUp = count == nil ? self.warmUp : 1
        let total = warmUp + (count ?? samples)
        for number in 0..<total {
            try Task.checkCancellation()
            if number % 25 == 0 { tell("\(what): \(number) of \(total)") }
            try await round(number >= warmUp)
        }
    }

    /// - Parameter unusual: With limits that nobody else asks for, so that none fits that was booted ahead.
    func create(unusual: Bool = false) async throws -> String {
        var spec = SandboxSpec(template: template, labels: Self.label)
        spec.lifecycle = LifecyclePolicy(idleTimeout: 3600, onIdle: .none)
        if unusual { spec.limits.pids = Int.random(in: 2000...60_000) }
        return try await client.create(spec).id.rawValue
    }

    /// At most 12 s: a server may be told to boot none, and puts it off while the machine is busy.
    private func untilPrebooted() async throws {
        let start = ContinuousClock.now
        var (count, since) = (0, start)
        while ContinuousClock.now - start < .seconds(12) {
            let now = try await client.health().prebooted
            if now != count { (count, since) = (now, ContinuousClock.now) }
            // The next one would be begun, and be there, within this time.
            if count > 0, ContinuousClock.now - since > .milliseconds(700) { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func runTrue(_ sandbox: String) async throws { try await run(sandbox, ["/bin/true"]) }

    func run(_ sandbox: String, _ command: [String]) async throws {
        let result = try await client.exec(sandbox, ExecRequest(command: command))
        guard result.exitCode == 0 else {
            throw SandboxError(.guestFailed, "\(command[0]) ended with \(result.exitCode) in the sandbox.")
        }
    }

    /// Starts a process in the background that holds so much memory with random contents.
    func touchMemory(_ sandbox: String, mebibytes: Int) async throws {
        var request = ExecRequest(command: ["/usr/bin/python3", "-c", RunscBaseline.touch(mebibytes)])
        request.background = true
        let process = try await client.start(sandbox, request)
        let deadline = ContinuousClock.now + .seconds(60)
        while try await client.output(sandbox, process.id).nextOffset == 0 {
            guard ContinuousClock.now < deadline else {
                throw SandboxError(.deadlineExceeded, "Python did not start within 60 s.")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

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

    func timeToInteractive() async throws -> BenchRow {
        var (ours, theirs) = (Samples(), Samples())
        try await rounds("create to first exec") { counts in
            let made = try await timed {
                let sandbox = try await create()
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
            "create to first exec", ours, against: ("runsc run to first output", theirs), bar: .ratio(1.3))
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
            BenchRow("pause in RAM", pauses, bar: .milliseconds(3)),
            BenchRow("resume in RAM", resumes, bar: .milliseconds(3)),
        ]
    }

    func wake() async throws -> BenchRow {
        let sandbox = try await create()
        try await touchMemory(sandbox)
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
            "wake from disk to exec's answer, 64 MiB", ours, against: ("runsc restore", theirs), bar: .ratio(1))
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
            "delete a running sandbox", ours, against: ("runsc delete -force", theirs), bar: .milliseconds(80))
    }

    // MARK: Parts

    private func rounds(_ what: String, _ round: (_ counts: Bool) async throws -> Void) async throws {
        for number in 0..<(warmUp + samples) {
            try Task.checkCancellation()
            if number % 25 == 0 { tell("\(what): \(number) of \(warmUp + samples)") }
            try await round(number >= warmUp)
        }
    }

    private func create() async throws -> String {
        var spec = SandboxSpec(template: template, labels: Self.label)
        spec.lifecycle = LifecyclePolicy(idleTimeout: 3600, onIdle: .none)
        return try await client.create(spec).id.rawValue
    }

    private func runTrue(_ sandbox: String) async throws { try await run(sandbox, ["/bin/true"]) }

    private func run(_ sandbox: String, _ command: [String]) async throws {
        let result = try await client.exec(sandbox, ExecRequest(command: command))
        guard result.exitCode == 0 else {
            throw SandboxError(.guestFailed, "\(command[0]) ended with \(result.exitCode) in the sandbox.")
        }
    }

    private func touchMemory(_ sandbox: String) async throws {
        var request = ExecRequest(command: ["/usr/bin/python3", "-c", RunscBaseline.touch])
        request.background = true
        let process = try await client.start(sandbox, request)
        let deadline = ContinuousClock.now + .seconds(30)
        while try await client.output(sandbox, process.id).nextOffset == 0 {
            guard ContinuousClock.now < deadline else {
                throw SandboxError(.deadlineExceeded, "Python did not start within 30 s.")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

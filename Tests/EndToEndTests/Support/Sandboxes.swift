import Client
import Foundation
import SandboxModel
import Testing

/// All tests of this target, one at a time: each uses the whole machine.
@Suite(.serialized) enum EndToEnd {}

extension NightjarClient {
    /// A durable sandbox that stays awake until the test says otherwise.
    func makeSandbox(_ name: String, idle: Double = 3600, onIdle: IdleAction = .standby) async throws -> SandboxResource
    {
        var spec = SandboxSpec(name: name)
        spec.lifecycle = LifecyclePolicy(idleTimeout: idle, onIdle: onIdle)
        return try await create(spec)
    }

    /// Runs a shell line that must succeed, as root, and returns its output without the last line's end.
    @discardableResult
    func sh(_ sandbox: String, _ script: String, user: String = "root") async throws -> String {
        var request = ExecRequest(command: ["bash", "-c", script])
        request.user = user
        let result = try await exec(sandbox, request)
        guard result.exitCode == 0 else {
            throw TestFailure("'\(script)' ended with \(result.exitCode): \(result.stderr)")
        }
        return result.stdout.trimmingCharacters(in: .newlines)
    }

    /// Runs a shell line as root, however it ends.
    func run(_ sandbox: String, _ script: String) async throws -> ExecResource {
        var request = ExecRequest(command: ["bash", "-c", script])
        request.user = "root"
        return try await exec(sandbox, request)
    }

    /// Waits until it is in a state.
    func state(
        _ sandbox: String, becomes state: SandboxState, within limit: Duration = .seconds(30)
    ) async throws -> SandboxResource {
        try await eventually("\(sandbox) is \(state.rawValue)", within: limit) {
            let resource = try await self.sandbox(sandbox)
            return resource.state == state ? resource : nil
        }
    }

    /// Starts a background process.
    func background(_ sandbox: String, _ command: [String], openStdin: Bool = false) async throws -> ProcessResource {
        var request = ExecRequest(command: command)
        request.background = true
        request.user = "root"
        request.openStdin = openStdin
        return try await start(sandbox, request)
    }

    /// Waits until a process has written `text`.
    func output(_ sandbox: String, _ process: UInt32, contains text: String) async throws {
        _ = try await eventually("the output has \(text)") {
            try await allOutput(sandbox, process).contains(text) ? true : nil
        }
    }

    /// What a process has written until now, both outputs together.
    func allOutput(_ sandbox: String, _ process: UInt32, offset: Int64 = 0) async throws -> String {
        var bytes: [UInt8] = []
        var next = offset
        while true {
            let piece = try await output(sandbox, process, offset: next)
            for chunk in piece.chunks { bytes += Data(base64Encoded: chunk.dataBase64) ?? Data() }
            guard piece.nextOffset > next else { return String(decoding: bytes, as: UTF8.self) }
            next = piece.nextOffset
        }
    }
}

/// The error code that `body` fails with.
func code(of body: () async throws -> Void) async -> SandboxError.Code? {
    do {
        try await body()
        return nil
    } catch let error as SandboxError {
        return error.code
    } catch {
        Issue.record("not a SandboxError: \(error)")
        return nil
    }
}

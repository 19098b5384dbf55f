internal import IsolationShim
internal import LinuxSystem
internal import SandboxModel

/// runsc's command line, for one slot.
struct Runsc {
    let configuration: GVisorConfiguration
    /// runsc's identifier of the sandbox.
    let id: String
    /// The slot's folder.
    let slot: String

    /// Flags that create and later commands share.
    private var flags: [String] {
        [
            "--root=\(slot)/r", "--platform=systrap", "--network=none", "--overlay2=none", "--host-uds=none",
            "--host-fifo=none", "--file-access=exclusive", "--ignore-cgroups", "--fdlimit=65536",
            "--directfs=\(configuration.directFileAccess)", "--panic-log=\(slot)/panic.log",
        ]
    }

    /// The command that creates the sandbox, with its program first.
    var create: [String] { [configuration.runscPath] + flags + ["create", "--bundle=\(slot)/bundle", id] }

    /// Runs another command.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed` if it fails, `deadline_exceeded` or `cancelled`.
    func run(_ arguments: [String], until deadline: ContinuousClock.Instant) async throws {
        let output = try await Self.output(configuration.runscPath, flags + arguments + [id], until: deadline)
        guard output.exit.isSuccess else {
            throw SandboxError(
                .driverFailed, "gVisor failed to \(arguments[0]) the sandbox.", cause: Complaint(output.complaint))
        }
    }

    /// The version that runsc calls itself.
    static func version(_ path: String) async throws -> String {
        let output = try await output(path, ["--version"], until: .now + .seconds(10))
        let text = String(decoding: output.output, as: UTF8.self)
        guard output.exit.isSuccess, let line = text.split(separator: "\n").first(where: { $0.contains("version") }),
            let version = line.split(separator: " ").last
        else {
            throw SandboxError(.driverFailed, "runsc does not tell its version.", cause: Complaint(output.complaint))
        }
        return String(version)
    }

    private static func output(
        _ path: String, _ arguments: [String], until deadline: ContinuousClock.Instant
    ) async throws -> ChildOutput {
        do {
            return try await ChildProcess.run(ChildCommand(path, arguments), until: deadline)
        } catch let error as SystemError {
            throw SandboxError(.driverFailed, "runsc cannot be run.", hint: "install runsc", cause: error)
        }
    }

    /// Whether this source knows the control socket of a version.
    static func isKnown(version: String) -> Bool { version.contains("20240729") }
}

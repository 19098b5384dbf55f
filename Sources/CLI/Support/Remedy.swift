internal import Foundation
internal import LinuxSystem
internal import SandboxModel

/// What `doctor --fix` can do about a finding.
struct Remedy: Sendable {
    enum Action: Sendable {
        /// A program and its arguments.
        case run(String, [String])
        case makeDirectory(String)
        /// Nobody but the owner may read it.
        case makePrivate(String, mode: Int)
        case remove(String)
    }

    var action: Action

    /// In the words of a shell.
    var description: String {
        switch action {
        case .run(let program, let arguments): ([program] + arguments).joined(separator: " ")
        case .makeDirectory(let path): "install -d -m 0700 \(path)"
        case .makePrivate(let path, let mode): "chmod \(String(mode, radix: 8)) \(path)"
        case .remove(let path): "rm \(path)"
        }
    }

    /// Packages and builds take their time.
    private static let limit = Duration.seconds(1800)

    /// Does it.
    ///
    /// - Returns: What went wrong; `nil` if it was done.
    func apply() async -> String? {
        let files = FileManager.default
        do {
            switch action {
            case .run(let program, let arguments): return await Self.run(program, arguments)
            case .makeDirectory(let path):
                try files.createDirectory(
                    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            case .makePrivate(let path, let mode):
                try files.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            case .remove(let path): try files.removeItem(atPath: path)
            }
            return nil
        } catch {
            return error.localizedDescription
        }
    }

    private static func run(_ program: String, _ arguments: [String]) async -> String? {
        let environment = ProcessInfo.processInfo.environment
        let command = ChildCommand(program, arguments, environment: environment, directory: "/", session: false)
        do {
            let result = try await ChildProcess.run(command, until: .now + limit)
            return result.exit.isSuccess ? nil : "it failed: \(Human.plain(result.complaint, width: 400))"
        } catch {
            return (error as? SandboxError)?.message ?? "\(error)"
        }
    }
}

/// The project's own scripts, if this program lies in a clone of it (`out/bin` or `out/debug`).
struct ProjectScripts: Sendable {
    private let directory: String?

    /// - Parameter program: The path of this program.
    init(program: String) {
        let root = URL(fileURLWithPath: program).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let scripts = root.appendingPathComponent("scripts").path
        let isClone =
            root.appendingPathComponent("out").path
            == URL(fileURLWithPath: program).deletingLastPathComponent()
            .deletingLastPathComponent().path
        directory = isClone && FileManager.default.isExecutableFile(atPath: scripts + "/build-template") ? scripts : nil
    }

    /// A run of a script, if it is there.
    func remedy(_ name: String, _ arguments: String...) -> Remedy? {
        directory.map { Remedy(action: .run("\($0)/\(name)", arguments)) }
    }
}

import Dispatch
import Foundation
import Synchronization

/// A program that a test runs on this machine.
final class ChildProgram: Sendable {
    struct Result: Sendable {
        var code: Int32
        var out: [UInt8]
        var error: String
        var text: String { String(decoding: out, as: UTF8.self) }
    }

    private final class Exit: Sendable {
        let state = Mutex<(code: Int32?, waiters: [CheckedContinuation<Int32, Never>])>((nil, []))
    }

    private let process = Process()
    private let exited = Exit()

    /// - Parameters:
    ///   - input: A file to read; `/dev/null` if it is `nil`.
    ///   - output: Where both outputs go.
    init(
        _ program: String, _ arguments: [String], variables: [String: String], input: FileHandle? = nil,
        output: FileHandle, error: FileHandle
    ) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = variables
        process.standardInput = input ?? FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = error
        process.terminationHandler = { [exited] process in
            let code = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
            let waiters = exited.state.withLock { exited in
                defer { exited = (code, []) }
                return exited.waiters
            }
            for waiter in waiters { waiter.resume(returning: code) }
        }
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }

    func signal(_ number: Int32) { kill(pid, number) }

    /// As ``wait()`` returns it; `nil` as long as it runs.
    var exitCode: Int32? { exited.state.withLock { $0.code } }

    /// The exit code; 128 + signal if a signal ended it.
    func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            let code = exited.state.withLock { exited in
                if exited.code == nil { exited.waiters.append(continuation) }
                return exited.code
            }
            if let code { continuation.resume(returning: code) }
        }
    }

    /// Runs a program to its end and collects its outputs, by way of files, so that nothing can block.
    static func run(
        _ program: String, _ arguments: [String], variables: [String: String], input: [UInt8]? = nil,
        within limit: Duration = .seconds(60)
    ) async throws -> Result {
        let directory = "\(TestEnvironment.temporary)/run-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Data(input ?? []).write(to: URL(fileURLWithPath: directory + "/in"))
        for name in ["out", "error"] {
            _ = FileManager.default.createFile(atPath: "\(directory)/\(name)", contents: nil)
        }
        guard let out = FileHandle(forWritingAtPath: directory + "/out"),
            let error = FileHandle(forWritingAtPath: directory + "/error")
        else { throw TestFailure("no files for the outputs of \(program)") }
        let child = try ChildProgram(
            program, arguments, variables: variables,
            input: input == nil ? nil : FileHandle(forReadingAtPath: directory + "/in"), output: out, error: error)
        let code = await withTaskGroup(of: Int32?.self) { group in
            group.addTask { await child.wait() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            if first == nil { child.signal(SIGKILL) }
            group.cancelAll()
            return first
        }
        let text = String(
            decoding: (try? Data(contentsOf: URL(fileURLWithPath: directory + "/error"))) ?? Data(), as: UTF8.self)
        guard let code else { throw TestFailure("\(program) \(arguments) did not end within \(limit): \(text)") }
        return Result(
            code: code, out: Array(try Data(contentsOf: URL(fileURLWithPath: directory + "/out"))), error: text)
    }
}

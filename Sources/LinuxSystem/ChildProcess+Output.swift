internal import Glibc
internal import SandboxModel

/// What a finished command said.
public struct ChildOutput: Sendable, Hashable {
    public var exit: ChildExit
    /// The last bytes of each, as many as the limit allows.
    public var output: [UInt8]
    public var errors: [UInt8]

    /// Standard error's text, or the output's if there is none, in one line.
    public var complaint: String {
        String(decoding: errors.isEmpty ? output : errors, as: UTF8.self)
            .split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}

extension ChildProcess {
    /// Runs a command to its end, without input.
    ///
    /// - Parameters:
    ///   - deadline: When it passes, the process is stopped.
    ///   - limit: Bytes of each output that are kept; the rest is read and dropped, the oldest first.
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`; the process is gone then.
    public static func run(
        _ command: ChildCommand, until deadline: ContinuousClock.Instant, limit: Int = 64 * 1024
    ) async throws -> ChildOutput {
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        let output = try FileDescriptor.pipe()
        let errors = try FileDescriptor.pipe()
        let child = try spawn(command, descriptors: [null.raw, output.writing.raw, errors.writing.raw])
        output.writing.close()
        errors.writing.close()
        do {
            async let collectedErrors = collect(errors.reading, deadline, limit)
            let collected = try await collect(output.reading, deadline, limit)
            return ChildOutput(
                exit: try await child.wait(until: deadline), output: collected, errors: try await collectedErrors)
        } catch {
            _ = await child.stop(grace: .milliseconds(200))
            throw error
        }
    }

    private static func collect(
        _ descriptor: FileDescriptor, _ deadline: ContinuousClock.Instant, _ limit: Int
    ) async throws -> [UInt8] {
        var kept: [UInt8] = []
        while true {
            let part = try await descriptor.read(until: deadline)
            if part.isEmpty { return kept.suffix(limit) }
            kept += part
            if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
        }
    }
}

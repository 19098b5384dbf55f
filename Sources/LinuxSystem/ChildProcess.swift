internal import CLinux
internal import Glibc
internal import SandboxModel
internal import Synchronization

/// What a child process of the host is made of. Nothing is inherited but what is named here.
public struct ChildCommand: Sendable {
    /// Absolute path of the program.
    public var path: String
    /// Without the program's own name.
    public var arguments: [String]
    /// The whole environment.
    public var environment: [String: String]
    public var directory: String?
    /// Cgroups that it is in from its first instruction.
    public var cgroup: Cgroup?
    /// Whether it leads a session of its own.
    public var session: Bool

    public init(
        _ path: String, _ arguments: [String] = [],
        environment: [String: String] = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], directory: String? = nil,
        cgroup: Cgroup? = nil, session: Bool = true
    ) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.cgroup = cgroup
        self.session = session
    }
}

/// How a process ended.
public enum ChildExit: Sendable, Hashable {
    case code(Int32)
    case signal(Int32)

    public var isSuccess: Bool { self == .code(0) }
}

/// A child process. Somebody has to call ``wait(until:)`` or ``stop(grace:)``, or it stays as a zombie.
public final class ChildProcess: Sendable {
    public let pid: Int32
    private let handle: FileDescriptor
    private let exit = Mutex<ChildExit?>(nil)

    private init(pid: Int32, handle: FileDescriptor) {
        self.pid = pid
        self.handle = handle
    }

    /// Starts a process; its standard descriptors are the given ones, in this order. All others are closed.
    public static func spawn(_ command: ChildCommand, descriptors: [Int32]) throws(SystemError) -> ChildProcess {
        var pidfd: Int32 = -1
        var error: Int32 = 0
        let environment = command.environment.map { "\($0.key)=\($0.value)" }
        let cgroups = command.cgroup?.processFiles ?? []
        let pid = withCStrings([command.path] + command.arguments) { argv in
            withCStrings(environment) { environment in
                withCStrings(cgroups) { cgroups in
                    withOptionalCString(command.directory) { directory in
                        descriptors.withUnsafeBufferPointer { descriptors in
                            cgroups.map { UnsafePointer($0) }.withUnsafeBufferPointer { cgroups in
                                var what = nj_command()
                                what.path = UnsafePointer(argv[0])
                                what.argv = argv.baseAddress
                                what.envp = environment.baseAddress
                                what.descriptors = descriptors.baseAddress
                                what.descriptor_count = descriptors.count
                                what.directory = directory
                                what.cgroups = cgroups.baseAddress
                                what.session = command.session ? 1 : 0
                                return nj_host_spawn(&what, &pidfd, &error)
                            }
                        }
                    }
                }
            }
        }
        guard pid > 0 else { throw SystemError(error, "start", command.path) }
        return ChildProcess(pid: pid, handle: FileDescriptor(owning: pidfd))
    }

    /// Sends a signal; nothing happens if the process has ended.
    public func signal(_ number: Int32) { _ = nj_pidfd_signal(handle.raw, number) }

    /// Waits for the end and reaps the process. May be called several times and by several tasks.
    ///
    /// - Parameter shielded: Whether to wait on even when the task is cancelled.
    /// - Throws: ``SandboxError`` with `deadline_exceeded` or `cancelled`; the process is left as it is then.
    public func wait(
        until deadline: ContinuousClock.Instant? = nil, shielded: Bool = false
    ) async throws -> ChildExit {
        if let known = collect() { return known }
        let own = try handle.duplicate()
        while true {
            try await Reactor.shared.wait(for: own.raw, until: deadline, shielded: shielded)
            if let known = collect() { return known }
        }
    }

    /// Asks the process to end, and kills it if it has not after the grace. Goes on even when the task is cancelled.
    public func stop(grace: Duration = .seconds(2)) async -> ChildExit {
        signal(SIGTERM)
        if let exit = try? await wait(until: .now + grace, shielded: true) { return exit }
        signal(SIGKILL)
        return (try? await wait(shielded: true)) ?? .signal(SIGKILL)
    }

    private func collect() -> ChildExit? {
        exit.withLock { exit in
            if let exit { return exit }
            var status: Int32 = 0
            let result = nj_pidfd_reap(handle.raw, &status)
            if result == 1 {
                exit = status & 0x7F == 0 ? .code(status >> 8 & 0xFF) : .signal(status & 0x7F)
            } else if result < 0 {
                // Somebody else reaped it: it has ended, nobody knows how.
                exit = .signal(SIGKILL)
            }
            return exit
        }
    }
}

func withCStrings<R>(_ strings: [String], _ body: (UnsafeBufferPointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    let copies = strings.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer(body)
}

private func withOptionalCString<R>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
    guard let string else { return body(nil) }
    return string.withCString(body)
}

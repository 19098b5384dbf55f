internal import Dispatch
internal import Glibc
internal import SandboxModel
internal import Synchronization

/// Starts processes and reaps them and all that they leave behind.
///
/// `runsc delete` waits until the sandbox's processes have been reaped. They are orphans whose parent is whoever is the
/// nearest subreaper, so the measuring process makes itself one and reaps at once, as a good parent does.
final class ChildReaper: Sendable {
    private struct State {
        var exits: [pid_t: Int32] = [:]
        var waiting: [pid_t: DispatchSemaphore] = [:]
        var isEnded = false
    }

    private let state = Mutex(State())

    init() throws {
        typealias Prctl = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
        let becomeSubreaper: Int32 = 36
        guard let symbol = dlsym(nil, "prctl"), unsafeBitCast(symbol, to: Prctl.self)(becomeSubreaper, 1, 0, 0, 0) == 0
        else { throw SandboxError(.unsupported, "This process cannot become a subreaper.") }
        DispatchQueue(label: "nightjar.bench.reaper").async { [self] in reap() }
    }

    func end() { state.withLock { $0.isEnded = true } }

    /// Reaps until ``end()``. For a thread of its own.
    fileprivate func reap() {
        while !state.withLock({ $0.isEnded }) {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, 0)
            guard pid > 0 else {
                usleep(500)
                continue
            }
            state.withLock { state in
                state.exits[pid] = status
                state.waiting[pid]?.signal()
            }
        }
    }

    /// Starts a program with standard input and error at `/dev/null`.
    ///
    /// - Parameter output: Its standard output; `/dev/null`, if -1.
    func spawn(_ arguments: [String], output: Int32 = -1, errors: Int32 = -1) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for (number, descriptor) in [(Int32(1), output), (Int32(2), errors)] {
            if descriptor >= 0 {
                posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            } else {
                posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_WRONLY, 0)
            }
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { for word in words + environment { free(word) } }
        var pid: pid_t = 0
        let error = posix_spawnp(&pid, arguments[0], &actions, &attributes, &words, &environment)
        guard error == 0 else {
            throw SandboxError(.unsupported, "\(arguments[0]) cannot be started: \(String(cString: strerror(error))).")
        }
        return pid
    }

    /// Waits for the end of a process that ``spawn(_:output:errors:)`` started. Blocks its thread.
    ///
    /// - Returns: Its exit code; 128 + signal if a signal ended it.
    func wait(_ pid: pid_t) -> Int32 {
        let semaphore = DispatchSemaphore(value: 0)
        let early = state.withLock { state in
            if let status = state.exits.removeValue(forKey: pid) { return Int32?.some(status) }
            state.waiting[pid] = semaphore
            return nil
        }
        if let early { return Self.code(early) }
        semaphore.wait()
        let status = state.withLock { state in
            state.waiting[pid] = nil
            return state.exits.removeValue(forKey: pid) ?? 0
        }
        return Self.code(status)
    }

    private static func code(_ status: Int32) -> Int32 {
        status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
    }
}

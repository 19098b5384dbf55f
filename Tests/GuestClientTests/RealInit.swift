import Glibc
import GuestClient
import Synchronization
import Testing
import Wire

/// The real init as PID 1 of namespaces of its own, on this machine's file system.
final class RealInit: Sendable {
    /// The init to test: `NIGHTJAR_INIT`, or the one that was built beside the package.
    static let path: String = {
        if let set = getenv("NIGHTJAR_INIT") { return String(cString: set) }
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/") + "/.build-guest/release/nightjar-init"
    }()

    /// Whether it can run here.
    static var isAvailable: Bool { geteuid() == 0 && access(path, X_OK) == 0 }

    /// Kept open, as a shim keeps it, so that the channel outlives a session.
    private let hostEnd: Int32
    private let pid: pid_t
    /// A directory for the test, seen alike from inside.
    let directory: String

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0, &ends) == 0)
        var template = Array("/tmp/nightjar-client-XXXXXX\0".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(directory, 0o755)
        hostEnd = ends[0]
        pid = try Self.spawn(channel: ends[1])
        close(ends[1])
    }

    private static func spawn(channel: Int32) throws -> pid_t {
        let arguments = [
            "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc", "--net", "--", path,
        ]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, channel, 0)
        posix_spawn_file_actions_adddup2(&actions, channel, 1)
        var pid: pid_t = 0
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { free(environment[0]) }
        try #require(posix_spawnp(&pid, "unshare", &actions, nil, &pointers, &environment) == 0)
        return pid
    }

    /// A session with it; a former one must be closed.
    func session() async throws -> GuestSession {
        let descriptor = fcntl(hostEnd, F_DUPFD_CLOEXEC, 0)
        try #require(descriptor >= 0)
        return try await GuestSession.open(descriptor: descriptor, deadline: .seconds(20), logger: quiet)
    }

    /// Writes bytes past any session, as a host does that dies in the middle of a frame.
    func write(raw bytes: [UInt8]) { _ = Glibc.write(hostEnd, bytes, bytes.count) }

    /// Whether the init has ended; only then is it reaped.
    func hasEnded() -> Bool {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid
    }

    deinit {
        close(hostEnd)
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    /// Runs a test with a fresh init and a session, and removes its directory afterwards.
    static func with(_ body: (RealInit, GuestSession) async throws -> Void) async throws {
        let guest = try RealInit()
        let session = try await guest.session()
        try await body(guest, session)
        await session.close()
        let cleaner = try await guest.session()
        try await cleaner.remove(Array(guest.directory.utf8), recursive: true)
        await cleaner.close()
    }

    /// A shell command of the test's.
    static func shell(_ command: String) -> ProcessStart {
        var start = ProcessStart(arguments: ["/bin/bash", "-c", command])
        start.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        start.directory = "/"
        return start
    }
}

/// A process that was started through the API.
public struct ProcessResource: Sendable, Hashable, Codable {
    /// Counts from 1 in the sandbox's life; never reused. This is the `{process}` of the routes.
    public var id: UInt32
    /// Inside the sandbox; may be reused after the process has ended.
    public var pid: UInt32
    public var command: [String]
    public var directory: String
    public var user: String
    public var terminal: Bool
    /// A background process does not keep the sandbox awake unless it uses CPU.
    public var background: Bool
    public var startedAt: Timestamp
    /// Count of output bytes since the start; the part from `outputStart` on is retained.
    public var outputStart: Int64
    public var outputEnd: Int64
    /// `nil` while it runs.
    public var exit: ExitResource?
    public init(
        id: UInt32, pid: UInt32, command: [String], directory: String, user: String, terminal: Bool, background: Bool,
        startedAt: Timestamp, outputStart: Int64, outputEnd: Int64, exit: ExitResource?
    ) {
        self.id = id
        self.pid = pid
        self.command = command
        self.directory = directory
        self.user = user
        self.terminal = terminal
        self.background = background
        self.startedAt = startedAt
        self.outputStart = outputStart
        self.outputEnd = outputEnd
        self.exit = exit
    }
    enum CodingKeys: String, CodingKey {
        case id, pid, command, directory, user, terminal, background
        case startedAt = "started_at"
        case outputStart = "output_start"
        case outputEnd = "output_end"
        case exit
    }
}

/// Why a process ended.
public enum ExitCause: String, Sendable, Hashable, Codable, CaseIterable {
    /// By itself.
    case exited
    /// By a signal of somebody inside, or of the API.
    case signal
    /// Its time was up.
    case timedOut = "timed_out"
    /// The sandbox was out of memory, and this process, or one that it had started, held most.
    case outOfMemory = "oom_killed"
    /// It failed while the sandbox's disk was full.
    case diskFull = "disk_full"
    /// It failed while the sandbox could start no more processes.
    case processesExhausted = "pids_exhausted"
}

/// How a process ended.
public struct ExitResource: Sendable, Hashable, Codable {
    /// 0 to 255; 128 + signal if a signal ended it.
    public var code: Int32
    /// Number of the signal that ended it.
    public var signal: Int?
    public var timedOut: Bool
    public var cause: ExitCause
    public var endedAt: Timestamp
    public var cpuSeconds: Double
    public var maxMemoryBytes: UInt64
    public init(
        code: Int32, signal: Int?, timedOut: Bool, cause: ExitCause, endedAt: Timestamp, cpuSeconds: Double,
        maxMemoryBytes: UInt64
    ) {
        self.cause = cause
        self.code = code
        self.signal = signal
        self.timedOut = timedOut
        self.endedAt = endedAt
        self.cpuSeconds = cpuSeconds
        self.maxMemoryBytes = maxMemoryBytes
    }
    enum CodingKeys: String, CodingKey {
        case code, signal
        case timedOut = "timed_out"
        case cause
        case endedAt = "ended_at"
        case cpuSeconds = "cpu_seconds"
        case maxMemoryBytes = "max_memory_bytes"
    }
}

/// A line of the table of all processes inside.
public struct ProcessTableEntryResource: Sendable, Hashable, Codable {
    public var pid: UInt32
    public var parent: UInt32
    public var uid: UInt32
    public var state: String
    public var memoryBytes: UInt64
    public var cpuSeconds: Double
    public var command: String
    public init(
        pid: UInt32, parent: UInt32, uid: UInt32, state: String, memoryBytes: UInt64, cpuSeconds: Double,
        command: String
    ) {
        self.pid = pid
        self.parent = parent
        self.uid = uid
        self.state = state
        self.memoryBytes = memoryBytes
        self.cpuSeconds = cpuSeconds
        self.command = command
    }
    enum CodingKeys: String, CodingKey {
        case pid, parent, uid, state
        case memoryBytes = "memory_bytes"
        case cpuSeconds = "cpu_seconds"
        case command
    }
}

/// Body of `POST …/exec` and `POST …/processes`.
public struct ExecRequest: Sendable, Hashable, Codable {
    public struct Terminal: Sendable, Hashable, Codable {
        /// 1 to 1,000.
        public var columns: Int
        /// 1 to 1,000.
        public var rows: Int
        public init(columns: Int, rows: Int) {
            self.columns = columns
            self.rows = rows
        }
    }
    public struct Limit: Sendable, Hashable, Codable {
        /// `RLIMIT_` in lower case without the prefix: `nofile`, `nproc`, `as`, `cpu`, `fsize`, `core`, `data`, `stack`…
        public var resource: String
        public var soft: UInt64
        public var hard: UInt64
        public init(resource: String, soft: UInt64, hard: UInt64) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }
    /// 1 to 1,024 arguments, at most 1 MiB together; the first is looked up in `PATH`.
    public var command: [String]
    public var env: [String: String]?
    /// Absolute; default: the template's.
    public var directory: String?
    /// Name, uid, `name:group` or `uid:gid`; default: the template's.
    public var user: String?
    /// Text written to standard input, which is then closed. For `exec` only.
    public var stdin: String?
    /// The same as base64, for bytes. For `exec` only.
    public var stdinBase64: String?
    /// Keeps standard input open for later writes. For `processes` only; default `false`.
    public var openStdin: Bool?
    /// For `processes` only.
    public var terminal: Terminal?
    /// Seconds, 0.001 to 86,400; default: the sandbox's `limits.exec_timeout`.
    public var timeout: Double?
    public var limits: [Limit]?
    /// For `processes` only: does not keep the sandbox awake by itself. Default `false`.
    public var background: Bool?
    /// For `exec` only: bytes of each output that are returned, at most 16 MiB; default 1 MiB. The rest is dropped.
    public var maxOutput: Int?
    /// Bytes of output kept for later readers, 4 KiB to 16 MiB; default: the sandbox's `limits.retained_output`.
    public var retainedOutput: Int?

    public init(command: [String]) { self.command = command }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case command, env, directory, user, stdin
        case stdinBase64 = "stdin_base64"
        case openStdin = "open_stdin"
        case terminal, timeout, limits, background
        case maxOutput = "max_output"
        case retainedOutput = "retained_output"
    }
}

/// Result of `POST …/exec`.
public struct ExecResource: Sendable, Hashable, Codable {
    /// The process's id, for its record in `…/processes`.
    public var id: UInt32
    public var exitCode: Int32
    public var signal: Int?
    public var timedOut: Bool
    public var cause: ExitCause
    /// UTF-8 text; bytes that are not UTF-8 are replaced, and then `stdout_base64` has the exact ones.
    public var stdout: String
    public var stderr: String
    public var stdoutBase64: String?
    public var stderrBase64: String?
    /// Whether output beyond `max_output` was dropped.
    public var stdoutTruncated: Bool
    public var stderrTruncated: Bool
    /// From the request's arrival at a running sandbox to the exit.
    public var durationMs: Double
    public init(
        id: UInt32, exitCode: Int32, signal: Int?, timedOut: Bool, cause: ExitCause, stdout: String, stderr: String,
        stdoutBase64: String?,
        stderrBase64: String?, stdoutTruncated: Bool, stderrTruncated: Bool, durationMs: Double
    ) {
        self.id = id
        self.exitCode = exitCode
        self.signal = signal
        self.timedOut = timedOut
        self.cause = cause
        self.stdout = stdout
        self.stderr = stderr
        self.stdoutBase64 = stdoutBase64
        self.stderrBase64 = stderrBase64
        self.stdoutTruncated = stdoutTruncated
        self.stderrTruncated = stderrTruncated
        self.durationMs = durationMs
    }
    enum CodingKeys: String, CodingKey {
        case id
        case exitCode = "exit_code"
        case signal
        case timedOut = "timed_out"
        case cause, stdout, stderr
        case stdoutBase64 = "stdout_base64"
        case stderrBase64 = "stderr_base64"
        case stdoutTruncated = "stdout_truncated"
        case stderrTruncated = "stderr_truncated"
        case durationMs = "duration_ms"
    }
}

/// A piece of retained output.
public struct OutputChunkResource: Sendable, Hashable, Codable {
    /// Count of output bytes before this piece.
    public var offset: Int64
    /// `stdout` or `stderr` (a terminal's output is `stdout`).
    public var stream: String
    public var dataBase64: String
    public init(offset: Int64, stream: String, dataBase64: String) {
        self.offset = offset
        self.stream = stream
        self.dataBase64 = dataBase64
    }
    enum CodingKeys: String, CodingKey {
        case offset, stream
        case dataBase64 = "data_base64"
    }
}

/// Answer of `GET …/output` without `follow`.
public struct OutputResource: Sendable, Hashable, Codable {
    public var chunks: [OutputChunkResource]
    /// Where to go on reading.
    public var nextOffset: Int64
    public var exit: ExitResource?
    public init(chunks: [OutputChunkResource], nextOffset: Int64, exit: ExitResource?) {
        self.chunks = chunks
        self.nextOffset = nextOffset
        self.exit = exit
    }
    enum CodingKeys: String, CodingKey {
        case chunks
        case nextOffset = "next_offset"
        case exit
    }
}

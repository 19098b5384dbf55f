internal import HTTPKit
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

/// A request to run something, within its bounds.
struct ValidExec {
    enum Use {
        case exec, process
    }

    let request: ExecRequest
    let use: Use
    let input: [UInt8]?
    let limits: [ProcessStart.Limit]

    /// - Throws: ``SandboxError`` with `invalid_request` or `invalid_path`, naming the field and the bound.
    init(_ request: ExecRequest, for use: Use) throws(SandboxError) {
        self.request = request
        self.use = use
        try Self.checkCommand(request.command)
        try Self.checkEnvironment(request.env ?? [:])
        if let directory = request.directory { _ = try GuestPath.check(directory, what: "directory") }
        if let user = request.user { _ = try UserName.check(user) }
        if let timeout = request.timeout {
            try Self.check(timeout, in: 0.001...86_400, "timeout must be between 0.001 and 86400 seconds.")
        }
        try Self.check(request.maxOutput ?? 0, in: 0...(16 << 20), "max_output must be between 0 and 16777216.")
        try Self.check(
            request.retainedOutput ?? 4096, in: 4096...(16 << 20), "retained_output must be between 4096 and 16777216.")
        if let terminal = request.terminal {
            try Self.check(terminal.columns, in: 1...1000, "terminal.columns must be between 1 and 1000.")
            try Self.check(terminal.rows, in: 1...1000, "terminal.rows must be between 1 and 1000.")
        }
        input = try Self.input(request)
        limits = try Self.limits(request.limits ?? [])
        try checkUse()
    }

    private static func check<T: Comparable>(_ value: T, in range: ClosedRange<T>, _ text: String) throws(SandboxError)
    {
        guard range.contains(value) else { throw SandboxError(.invalidRequest, text) }
    }

    private func checkUse() throws(SandboxError) {
        let misplaced: (name: String, belongs: String)? =
            switch use {
            case .exec where request.terminal != nil: ("terminal", "processes")
            case .exec where request.openStdin != nil: ("open_stdin", "processes")
            case .exec where request.background != nil: ("background", "processes")
            case .process where request.stdin != nil: ("stdin", "exec")
            case .process where request.stdinBase64 != nil: ("stdin_base64", "exec")
            case .process where request.maxOutput != nil: ("max_output", "exec")
            default: nil
            }
        if let misplaced {
            throw SandboxError(.invalidRequest, "\(misplaced.name) is possible with \(misplaced.belongs) only.")
        }
    }

    private static func checkCommand(_ command: [String]) throws(SandboxError) {
        guard (1...1024).contains(command.count) else {
            throw SandboxError(.invalidRequest, "command must have 1 to 1024 arguments.")
        }
        guard let first = command.first, !first.isEmpty else {
            throw SandboxError(.invalidRequest, "command[0] must not be empty.")
        }
        guard command.reduce(0, { $0 + $1.utf8.count + 1 }) <= 1 << 20 else {
            throw SandboxError(.invalidRequest, "command must not have more than 1 MiB.")
        }
        // The kernel's own bound for one string.
        guard command.allSatisfy({ $0.utf8.count < 128 * 1024 && !$0.utf8.contains(0) }) else {
            throw SandboxError(.invalidRequest, "An argument in command contains NUL or has 128 KiB or more.")
        }
    }

    private static func checkEnvironment(_ env: [String: String]) throws(SandboxError) {
        let size = env.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
        guard env.count <= 256, size <= 128 * 1024 else {
            throw SandboxError(.invalidRequest, "env holds at most 256 entries and 128 KiB.")
        }
        for (key, value) in env where key.isEmpty || key.contains("=") || key.utf8.contains(0) || value.utf8.contains(0)
        {
            throw SandboxError(
                .invalidRequest, "A key in env is empty or contains '=' or NUL, or a value contains NUL.")
        }
    }

    private static func input(_ request: ExecRequest) throws(SandboxError) -> [UInt8]? {
        if request.stdin != nil, request.stdinBase64 != nil {
            throw SandboxError(.invalidRequest, "stdin and stdin_base64 exclude each other.")
        }
        if let text = request.stdin { return Array(text.utf8) }
        guard let base64 = request.stdinBase64 else { return nil }
        guard let bytes = Base64.decode(base64) else {
            throw SandboxError(.invalidRequest, "stdin_base64 is not valid base64.")
        }
        return bytes
    }

    /// Linux's numbers.
    private static let resources: [String: UInt8] = [
        "cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8,
        "as": 9,
        "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
    ]

    private static func limits(_ limits: [ExecRequest.Limit]) throws(SandboxError) -> [ProcessStart.Limit] {
        var result: [ProcessStart.Limit] = []
        for (index, limit) in limits.enumerated() {
            guard let resource = resources[limit.resource] else {
                throw SandboxError(
                    .invalidRequest, "limits[\(index)].resource is not known.",
                    hint: "known: " + resources.keys.sorted().joined(separator: ", "))
            }
            guard limit.soft <= limit.hard else {
                throw SandboxError(.invalidRequest, "limits[\(index)].soft must not be above hard.")
            }
            guard !result.contains(where: { $0.resource == resource }) else {
                throw SandboxError(.invalidRequest, "limits[\(index)].resource occurs twice.")
            }
            result.append(.init(resource: resource, soft: limit.soft, hard: limit.hard))
        }
        return result
    }

    private static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// What the guest is told, with the sandbox's defaults filled in.
    func start(_ defaults: GuestDefaults) -> ProcessStart {
        var start = ProcessStart(arguments: request.command)
        start.environment = ["PATH": Self.defaultPath].merging(defaults.environment) { $1 }.merging(request.env ?? [:])
        { $1 }
        start.directory = request.directory ?? defaults.directory
        start.user = request.user ?? defaults.user
        start.input = input != nil || request.openStdin == true ? .pipe : .null
        if let terminal = request.terminal {
            start.terminal = .init(columns: UInt16(terminal.columns), rows: UInt16(terminal.rows))
        }
        start.timeoutMilliseconds =
            (request.timeout ?? defaults.timeout).map { UInt64(max(1, ($0 * 1000).rounded())) } ?? 0
        start.limits = limits
        start.retainedBytes = UInt32(clamping: request.retainedOutput ?? defaults.retainedOutput)
        start.tag = request.background == true ? ProcessTag.background : ProcessTag.foreground
        return start
    }
}

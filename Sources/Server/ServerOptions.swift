public import Access
public import HTTPKit
public import Logging
public import SandboxModel

#if canImport(Glibc)
internal import Glibc
#endif

/// Everything that the server can be told, by flags or by the environment.
public struct ServerOptions: Sendable {
    /// `NIGHTJAR_DATA_DIR`. Absolute.
    public var dataDirectory = "/var/lib/nightjar"
    /// `NIGHTJAR_RUN_DIR`. Absolute and short: sockets live below it.
    public var runDirectory = "/run/nightjar"
    /// `NIGHTJAR_LISTEN`: `host:port`, `[v6]:port`, or `none`. Port 0 takes a free one.
    public var listen = "127.0.0.1:7575"
    /// Whether `listen` may be an address that other machines reach. There is no TLS: the key would travel in the clear.
    public var allowRemote = false
    /// `NIGHTJAR_LOG_LEVEL`.
    public var logLevel = Logger.Level.info
    /// `NIGHTJAR_LOG_FORMAT`: `text` or `json`.
    public var logFormat = LogFormat.text
    /// `NIGHTJAR_PREWARM`: how many sandbox processes are prepared ahead, 0 to 64.
    public var prewarm = 2
    /// `NIGHTJAR_RATE_LIMIT`, `NIGHTJAR_RATE_BURST` and `NIGHTJAR_KEY_STREAMS`: what each key may do; see
    /// ``AccessLimits``. The key of the key file and the Unix socket are not bound.
    public var accessLimits = AccessLimits()
    /// `NIGHTJAR_PREBOOT`: how many sandboxes are booted ahead for creations to come, at most; 0 to 64.
    public var preboot = 4
    /// `NIGHTJAR_DISK_QUOTA`: MiB that a sandbox may write that asks for nothing else, 64 to 1,048,576; 0: no sandbox is
    /// bounded.
    public var diskQuota = 10_240
    /// `NIGHTJAR_LIBEXEC`: where `nightjar-init` and `nightjar-shim` are. Default: beside this program.
    public var libexec: String?
    /// `NIGHTJAR_RUNSC`: runsc's path. Default: looked up in `PATH` and the usual directories.
    public var runsc: String?
    /// `NIGHTJAR_QEMU`: the path of QEMU, which runs virtual machines. Default: looked up like runsc's.
    public var qemu: String?
    /// `NIGHTJAR_ISOLATION`: `gvisor`, `microvm` or `auto`: what a sandbox gets that asks for nothing else.
    public var isolation = IsolationChoice.auto
    /// `NIGHTJAR_KERNELS`: where the kernels of virtual machines are. Default: `kernels` in the data directory.
    public var kernels: String?
    /// What runs at once, and how others wait.
    public var admission = AdmissionOptions()

    public init() {}

    /// Reads the environment; flags are set over it afterwards.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request` that names the variable.
    public init(environment: [String: String]) throws(SandboxError) {
        self.init()
        func value(_ name: String) -> String? { environment["NIGHTJAR_" + name].flatMap { $0.isEmpty ? nil : $0 } }
        func wrong(_ name: String, _ choices: String) -> SandboxError {
            SandboxError(.invalidRequest, "The environment's NIGHTJAR_\(name) is not valid.", hint: choices)
        }
        dataDirectory = value("DATA_DIR") ?? dataDirectory
        runDirectory = value("RUN_DIR") ?? runDirectory
        listen = value("LISTEN") ?? listen
        admission = try AdmissionOptions(value)
        libexec = value("LIBEXEC")
        runsc = value("RUNSC")
        qemu = value("QEMU")
        kernels = value("KERNELS")
        if let text = value("ISOLATION") {
            guard let choice = IsolationChoice(rawValue: text.lowercased()) else {
                throw wrong("ISOLATION", IsolationChoice.allCases.map(\.rawValue).joined(separator: ", "))
            }
            isolation = choice
        }
        if let text = value("LOG_LEVEL") {
            guard let level = Logger.Level(rawValue: text.lowercased()) else {
                throw wrong("LOG_LEVEL", Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))
            }
            logLevel = level
        }
        if let text = value("LOG_FORMAT") {
            guard let format = LogFormat(rawValue: text.lowercased()) else { throw wrong("LOG_FORMAT", "text or json") }
            logFormat = format
        }
        if let text = value("PREWARM") {
            guard let count = Int(text), (0...64).contains(count) else {
                throw wrong("PREWARM", "a number from 0 to 64")
            }
            prewarm = count
        }
        func number(_ name: String, _ range: ClosedRange<Int>) throws(SandboxError) -> Int? {
            guard let text = value(name) else { return nil }
            guard let count = Int(text), range.contains(count) else {
                throw wrong(name, "a number from \(range.lowerBound) to \(range.upperBound)")
            }
            return count
        }
        if let count = try number("RATE_LIMIT", 1...1_000_000) {
            accessLimits.requestsPerSecond = Double(count)
            accessLimits.burst = 2 * count
        }
        if let count = try number("RATE_BURST", 1...1_000_000) { accessLimits.burst = count }
        if let count = try number("KEY_STREAMS", 1...8192) { accessLimits.concurrentStreams = count }
        if let count = try number("PREBOOT", 0...64) { preboot = count }
        if let count = try number("DISK_QUOTA", 0...1_048_576) {
            guard count == 0 || count >= 64 else { throw wrong("DISK_QUOTA", "0, or a number from 64 to 1048576") }
            diskQuota = count
        }
    }

    var kernelsDirectory: String { kernels ?? dataDirectory + "/kernels" }
    public var socketPath: String { runDirectory + "/nightjar.sock" }
    public var apiKeyPath: String { dataDirectory + "/api-key" }

    /// Where to listen for TCP.
    struct TCPAddress: Sendable, Equatable {
        var host: String
        var port: Int
        var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
        var url: String { host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)" }
    }

    /// - Throws: ``SandboxError`` with `invalid_request`.
    func tcpAddress() throws(SandboxError) -> TCPAddress? {
        if listen == "none" { return nil }
        let invalid = SandboxError(
            .invalidRequest, "The address to listen on is not valid: \(listen)",
            hint: "use host:port, [v6]:port or none")
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw invalid }
        var host = String(listen[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty, !host.contains("/"), !host.contains(" ") else { throw invalid }
        let address = TCPAddress(host: host, port: port)
        guard address.isLoopback || allowRemote else {
            throw SandboxError(
                .invalidRequest, "\(listen) can be reached from other machines, and the key would travel unencrypted.",
                hint:
                    "listen on 127.0.0.1 behind a TLS proxy or an SSH tunnel, or pass --allow-remote if you accept that"
            )
        }
        return address
    }

    /// Checks what can be checked before anything is made.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request`.
    func validate() throws(SandboxError) {
        for (path, what, limit) in [(dataDirectory, "data", 1024), (runDirectory, "run", 48)] {
            guard path.hasPrefix("/"), path != "/", path.utf8.count <= limit, !path.utf8.contains(0) else {
                throw SandboxError(
                    .invalidRequest, "The \(what) directory must be an absolute path of at most \(limit) bytes.")
            }
        }
        guard (0...64).contains(prewarm) else {
            throw SandboxError(.invalidRequest, "prewarm must be between 0 and 64.")
        }
        guard (0...64).contains(preboot) else {
            throw SandboxError(.invalidRequest, "preboot must be between 0 and 64.")
        }
        _ = try tcpAddress()
    }
}

/// The other programs that the server needs.
struct Programs: Sendable {
    var shim: String
    var guestInit: String
    /// Empty if there is none.
    var runsc: String
    /// The usual place if there is none.
    var qemu: String

    init(_ options: ServerOptions, path: String?) {
        let directory = options.libexec ?? Self.ownDirectory()
        shim = directory + "/nightjar-shim"
        guestInit = directory + "/nightjar-init"
        let places =
            (path ?? "").split(separator: ":").map(String.init) + [
                "/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/bin",
            ]
        func find(_ name: String) -> String? {
            places.filter { $0.hasPrefix("/") }.map { $0 + "/" + name }.first { access($0, X_OK) == 0 }
        }
        runsc = options.runsc ?? find("runsc") ?? ""
        qemu = options.qemu ?? find("qemu-system-x86_64") ?? "/usr/bin/qemu-system-x86_64"
    }

    /// The directory of this program's file, also when it was replaced meanwhile.
    static func ownDirectory() -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { return "/usr/lib/nightjar" }
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "/usr/lib/nightjar"
    }

    /// - Throws: ``SandboxError`` with `unavailable` that names the first missing one.
    func check() throws(SandboxError) {
        for (program, hint) in [
            (guestInit, "build it with `make build`, or set NIGHTJAR_LIBEXEC"),
            (shim, "build it with `make build`, or set NIGHTJAR_LIBEXEC"),
        ] where access(program, X_OK) != 0 {
            throw SandboxError(.unavailable, "\(program) is not there or not executable.", hint: hint)
        }
        guard !runsc.isEmpty, access(runsc, X_OK) == 0 else {
            throw SandboxError(
                .unavailable, "runsc (gVisor) is not installed\(runsc.isEmpty ? "" : " at \(runsc)").",
                hint: "install it with `scripts/install-prerequisites`, or set NIGHTJAR_RUNSC")
        }
    }
}

internal import API
internal import Access
internal import CoreMetrics
internal import Faults
internal import GuestClient
internal import HTTPKit
internal import Hummingbird
internal import HummingbirdCore
internal import Isolation
internal import IsolationGVisor
internal import IsolationMicroVM
internal import LinuxSystem
internal import Logging
internal import Metrics
internal import SandboxImages
internal import SandboxModel
internal import SandboxRuntime
internal import SandboxStorage
internal import ServiceLifecycle
internal import StoreSQLite
internal import UnixSignals

#if canImport(Glibc)
internal import Glibc
#endif

/// The server of one node: puts the parts together and runs them until it is told to stop.
///
/// ```swift
/// try await NightjarServer(options).run()
/// ```
/// Sandboxes do not end with it: the next server takes them over.
public struct NightjarServer: Sendable {
    private let options: ServerOptions

    public init(_ options: ServerOptions) { self.options = options }

    /// Runs until SIGTERM or SIGINT, then lets requests under way end and returns. To be called once per process, since
    /// it sets up logging and metrics for the whole of it.
    ///
    /// - Throws: ``SandboxError`` that says what is in the way and what to do about it.
    public func run() async throws {
        try options.validate()
        guard FaultInjection.file == nil || FaultInjection.isBuiltIn else {
            throw SandboxError(
                .invalidRequest, "\(FaultInjection.variable) is set, and this build cannot inject faults.",
                hint: "unset it, or use a debug build")
        }
        let (level, format) = (options.logLevel, options.logFormat)
        let lines = LineWriter(descriptor: 2) { LineLogHandler.confession(lost: $0, format: format) }
        LoggingSystem.bootstrap { LineLogHandler(label: $0, format: format, level: level, write: lines.append) }
        let metrics = PrometheusRegistry(help: MetricsHelp.lines)
        MetricsSystem.bootstrap(metrics)
        signal(SIGPIPE, SIG_IGN)
        ListenSockets.raiseDescriptorLimit()
        let logger = Logger(label: "nightjar")
        takePrecedence(logger)
        let result: Result<Void, any Error>
        do {
            result = .success(try await assemble(metrics, logger).run())
        } catch {
            result = .failure(error)
        }
        await lines.flush(until: .now + .seconds(2))
        if case .failure(let error) = result {
            throw error as? SandboxError
                ?? SandboxError(.internalError, "The server stopped: \(error)", cause: error)
        }
    }

    /// The server answers while sandboxes use all that the cores have. It uses little, and what it starts has no more than
    /// others.
    private func takePrecedence(_ logger: Logger) {
        do {
            try Precedence.take()
        } catch {
            logger.notice("the server may have to wait for busy sandboxes", metadata: ["reason": "\(error)"])
        }
    }

    private func assemble(_ metrics: PrometheusRegistry, _ logger: Logger) async throws -> ServiceGroup {
        guard geteuid() == 0 else {
            throw SandboxError(.permissionDenied, "The server must run as root.", hint: "run it with sudo")
        }
        let programs = Programs(options, path: getenv("PATH").map { String(cString: $0) })
        try programs.check()
        let storage = try DataDirectory(path: options.dataDirectory)
        try ListenSockets.prepareUnixSocket(directory: options.runDirectory, path: options.socketPath)
        let key = try APIKeyFile.readOrCreate(at: storage.apiKeyPath)
        let store = try SQLiteStore(path: storage.databasePath)
        let driver = GVisorDriver(
            configuration: GVisorConfiguration(
                runDirectory: options.runDirectory, shimPath: programs.shim, runscPath: programs.runsc,
                prewarm: options.prewarm, logger: Logger(label: "nightjar.gvisor")))
        let ability = await driver.capabilities()
        guard ability.run.available else {
            throw SandboxError(
                .unavailable, "gVisor cannot run sandboxes here: \(ability.run.reason ?? "no reason given").",
                hint: "see `nightjar doctor`")
        }
        let machines = MicroVMDriver(
            configuration: MicroVMConfiguration(
                runDirectory: options.runDirectory, kernelsDirectory: options.kernelsDirectory,
                shimPath: programs.shim, initPath: programs.guestInit, qemuPath: programs.qemu,
                logger: Logger(label: "nightjar.microvm")))
        var settings = RuntimeConfiguration(initBinary: programs.guestInit)
        settings.isolation = options.isolation
        settings.admission = options.admission.policy
        settings.preboot = options.preboot
        settings.diskQuota = options.diskQuota
        settings.cores = CoreSet.available()
        let runtime = SandboxRuntime(
            store: store, usage: store, drivers: [ability.tier: driver, MicroVMDriver.tier: machines],
            storage: storage,
            images: TemplateStore(directory: storage),
            configuration: settings, logger: Logger(label: "nightjar.runtime"))
        let access = try await AccessControl(
            store: store, fileKey: key, limits: options.accessLimits, now: wallClock)
        let audit = AuditLog(store: store, logger: Logger(label: "nightjar.audit"), now: wallClock)
        logger.info(
            "starting",
            metadata: [
                "version": .string(NightjarVersion.current), "runsc": .string(ability.version),
                "data": .string(options.dataDirectory), "run": .string(options.runDirectory),
            ])
        return try services(runtime, driver, access, audit, metrics, logger)
    }

    private func services(
        _ runtime: SandboxRuntime, _ driver: GVisorDriver, _ access: AccessControl, _ audit: AuditLog,
        _ metrics: PrometheusRegistry, _ logger: Logger
    ) throws -> ServiceGroup {
        var configuration = APIConfiguration()
        configuration.renderMetrics = {
            ProcessGauges.update()
            return metrics.render()
        }
        let responder = APIResponder(
            router: APIService(runtime: runtime, access: access, audit: audit, configuration: configuration).router(),
            access: access, audit: audit, logger: Logger(label: "nightjar.api"))
        let bound = BoundPorts()
        let tcp = try options.tcpAddress()
        var sockets = [
            HTTPService.Socket(
                listener: .unix, address: .unixDomainSocket(path: options.socketPath), name: options.socketPath)
        ]
        if let tcp {
            sockets.append(
                HTTPService.Socket(
                    listener: .tcp, address: .hostname(tcp.host, port: tcp.port), name: options.listen))
        }
        let http = HTTPService(responder: responder, sockets: sockets, bound: bound, logger: logger)
        let announcer = Announcer(options: options, tcp: tcp, bound: bound, expected: sockets.count, runtime: runtime)
        // A graceful shutdown goes through them from the last to the first.
        // What the group says at debug level describes its services to the last field.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .info)
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: AuditService(log: audit)), .init(service: ExpiryService(access: access)),
                .init(service: DriverService(driver: driver)), .init(service: runtime), .init(service: http),
                .init(service: announcer),
            ],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        group.maximumGracefulShutdownDuration = .seconds(40)
        return ServiceGroup(configuration: group)
    }
}

/// Runs `body` until the server shuts down, which is its ordinary end.
private func untilShutdown(_ body: @escaping @Sendable () async throws -> Void) async throws {
    do {
        try await cancelWhenGracefulShutdown(body)
    } catch is CancellationError {
        return
    }
}

@Sendable private func wallClock() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(unixNanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
}

/// Writes the audit log. The first service, so it ends last, when nothing can be done any more.
private struct AuditService: Service {
    let log: AuditLog
    func run() async throws {
        try await untilShutdown { try await log.run() }
    }
}

/// Ends the streams of keys that expire.
private struct ExpiryService: Service {
    let access: AccessControl
    func run() async throws {
        try await untilShutdown { try await access.run() }
    }
}

/// Keeps the driver's prepared slots filled.
private struct DriverService: Service {
    let driver: GVisorDriver
    func run() async throws {
        try await untilShutdown { try await driver.run() }
    }
}

/// Says once, on standard output, that the server is ready and where.
private struct Announcer: Service {
    let options: ServerOptions
    let tcp: ServerOptions.TCPAddress?
    let bound: BoundPorts
    let expected: Int
    let runtime: SandboxRuntime

    func run() async throws {
        try await untilShutdown {
            while bound.count < expected || !runtime.isReady { try await Task.sleep(for: .milliseconds(10)) }
            chmod(options.socketPath, 0o600)
            var places = ["unix://\(options.socketPath)"]
            if var tcp {
                tcp.port = bound.port ?? tcp.port
                places.append("\(tcp.url) (key in \(options.apiKeyPath))")
            }
            print("Nightjar \(NightjarVersion.current) is ready: \(places.joined(separator: ", "))")
            fflush(nil)
            ServiceManager.tell("READY=1\nSTATUS=Serving \(places[0])")
            try await Task.sleep(for: .seconds(86_400 * 36_500))
        }
        ServiceManager.tell("STOPPING=1\nSTATUS=Sandboxes go on without a server")
        unlink(options.socketPath)
    }
}

internal import ArgumentParser
internal import Foundation
internal import SandboxModel
internal import Server

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the server of this machine.",
        discussion: """
            Needs root. Listens on a Unix socket in the run directory, which needs no key, and on TCP, where the key of the \
            data directory's api-key file is needed. Ends on SIGTERM; sandboxes go on and the next server takes them over. \
            Each option can be given in the environment instead: NIGHTJAR_DATA_DIR, NIGHTJAR_RUN_DIR, NIGHTJAR_LISTEN, \
            NIGHTJAR_LOG_LEVEL, NIGHTJAR_LOG_FORMAT, NIGHTJAR_PREWARM, NIGHTJAR_PREBOOT, NIGHTJAR_DISK_QUOTA, \
            NIGHTJAR_RATE_LIMIT, NIGHTJAR_RATE_BURST, NIGHTJAR_KEY_STREAMS, NIGHTJAR_ISOLATION, NIGHTJAR_LIBEXEC, \
            NIGHTJAR_RUNSC, NIGHTJAR_QEMU, NIGHTJAR_KERNELS, and NIGHTJAR_CAPACITY_MEMORY and so on for the options \
            about capacity.

              nightjar serve
              nightjar serve --listen none --log-format json
            """)

    @Option(help: "Where sandboxes and templates are kept. (default: /var/lib/nightjar)")
    var dataDir: String?
    @Option(help: "Where sockets are, on a file system that a reboot empties. (default: /run/nightjar)")
    var runDir: String?
    @Option(help: "host:port, [v6]:port or none; port 0 takes a free one. (default: 127.0.0.1:7575)")
    var listen: String?
    @Flag(help: "Allow an address that other machines reach, although the key travels unencrypted.")
    var allowRemote = false
    @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
    var logLevel: String?
    @Option(help: "text or json. (default: text)")
    var logFormat: String?
    @Option(help: "Sandbox processes that are prepared ahead, 0 to 64. (default: 2)")
    var prewarm: Int?
    @Option(
        help:
            "Requests a second of each key on average; the key file's and the Unix socket have no bound. (default: 1000)"
    )
    var rateLimit: Int?
    @Option(help: "Requests of a key at once after a pause. (default: twice the rate)")
    var rateBurst: Int?
    @Option(help: "Open event streams and WebSockets of each key. (default: 128)")
    var keyStreams: Int?
    @Option(help: "Sandboxes that are booted ahead for creations to come, at most; 0 to 64. (default: 4)")
    var preboot: Int?
    @Option(
        help:
            "MiB that a sandbox may write that asks for nothing else, from 64; 0: no sandbox is bounded. (default: 10240)"
    )
    var diskQuota: Int?
    @Option(
        help:
            "What a sandbox gets that asks for no tier: gvisor, microvm, or auto, a microvm where KVM works. (default: auto)",
        completion: .list(IsolationChoice.allCases.map(\.rawValue)), transform: choice)
    var isolation: IsolationChoice?
    @Option(help: "Where nightjar-init and nightjar-shim are. (default: beside this program)")
    var libexec: String?
    @Option(help: "The runsc to use. (default: the one in PATH)")
    var runsc: String?
    @Option(help: "The QEMU to use for microvm. (default: the qemu-system-x86_64 in PATH)")
    var qemu: String?
    @Option(help: "Where the kernels for microvm are. (default: kernels in the data directory)")
    var kernels: String?
    @OptionGroup(title: "Capacity") var admission: AdmissionFlags

    func run() async throws {
        var environment = ProcessInfo.processInfo.environment
        let flags = [
            "DATA_DIR": dataDir, "RUN_DIR": runDir, "LISTEN": listen, "LOG_LEVEL": logLevel, "LOG_FORMAT": logFormat,
            "PREWARM": prewarm.map(String.init), "PREBOOT": preboot.map(String.init), "LIBEXEC": libexec,
            "RUNSC": runsc, "QEMU": qemu, "KERNELS": kernels, "ISOLATION": isolation?.rawValue,
            "DISK_QUOTA": diskQuota.map(String.init),
            "RATE_LIMIT": rateLimit.map(String.init), "RATE_BURST": rateBurst.map(String.init),
            "KEY_STREAMS": keyStreams.map(String.init),
        ]
        for (name, value) in flags.merging(admission.environment, uniquingKeysWith: { $1 }) {
            if let value { environment["NIGHTJAR_" + name] = value }
        }
        var options = try ServerOptions(environment: environment)
        options.allowRemote = allowRemote
        try await NightjarServer(options).run()
    }
}

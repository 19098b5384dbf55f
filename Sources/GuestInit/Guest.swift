internal import CLinux
internal import Glibc
internal import Wire

/// PID 1 of a sandbox: takes the host's requests and hands them to whoever does them.
final class Guest: Channel.Delegate {
    /// Of the init binary, told in ``Wire/Hello``.
    static let version = "0.1.0"
    static let orphanGraceMilliseconds: UInt32 = 5000
    /// By this the host asks for memory. An init that does not know it ignores it.
    static let relief = SIGURG

    let loop: EventLoop
    let channel: Channel
    let pool: WorkerPool
    let accounts = Accounts()
    let processes: Processes
    let keeper: LimitKeeper
    let services: HostServices
    let elevation: Elevation
    let identity: Identity
    let log: Log
    /// The machine that is this sandbox's own; `nil` with gVisor.
    let machine: Machine?
    private let boot: UInt64
    private let started = EventLoop.now()
    private var shutdown: Shutdown?

    init?(log: Log, openFiles: rlimit, machine: Machine?) {
        guard let loop = EventLoop(), let pool = WorkerPool(loop: loop) else { return nil }
        self.loop = loop
        self.pool = pool
        self.log = log
        self.machine = machine
        channel = Channel(loop: loop, log: log, input: 0, output: 1, isPort: machine != nil)
        processes = Processes(loop: loop, channel: channel, accounts: accounts, openFiles: openFiles)
        keeper = LimitKeeper(
            loop: loop, channel: channel, pool: pool, processes: processes, isMachine: machine != nil)
        processes.keeper = keeper
        services = HostServices(loop: loop, channel: channel)
        elevation = Elevation(loop: loop, openFiles: openFiles)
        identity = Identity(isMachine: machine != nil)
        boot = UInt64.random(in: .min ... .max)
        channel.delegate = self
    }

    /// Serves until the shutdown is complete.
    func run(signals: Int32) -> Never {
        guard loop.add(signals, .read, { [unowned self] _ in take(signals) }) != nil else {
            log.line("cannot watch for signals")
            leave(70)
        }
        channel.start()
        elevation.begin()
        while true {
            channel.flush()
            loop.turn()
        }
    }

    /// The end of the sandbox: of this process, or of its machine.
    private func leave(_ code: Int32) -> Never {
        if let machine { machine.end(log: log) }
        exit(code)
    }

    private func take(_ signals: Int32) {
        var info = signalfd_siginfo()
        while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
            switch Int32(info.ssi_signo) {
            case SIGCHLD: break
            case Guest.relief: keeper.relieve()
            default: stop(graceMilliseconds: Guest.orphanGraceMilliseconds)
            }
        }
        processes.reap()
        shutdown?.childrenChanged()
    }

    private func stop(graceMilliseconds: UInt32) {
        guard shutdown == nil else { return }
        processes.stop()
        let shutdown = Shutdown(loop: loop, channel: channel) { [unowned self] in leave(0) }
        self.shutdown = shutdown
        shutdown.begin(graceMilliseconds: graceMilliseconds)
    }

    // MARK: Channel

    func sessionBegan() -> Hello {
        processes.sessionLost()
        loop.soon { [self] in keeper.flush() }
        return Hello(
            oldestGeneration: Hello.generation, newestGeneration: Hello.generation, version: Guest.version, boot: boot)
    }

    func hostIsGone() {
        processes.sessionLost()
        stop(graceMilliseconds: Guest.orphanGraceMilliseconds)
    }

    func opened(_ request: Request, on stream: Stream) {
        do throws(WireStatus) {
            try handle(request, on: stream)
        } catch {
            channel.close(stream, error)
        }
    }

    private func handle(_ request: Request, on stream: Stream) throws(WireStatus) {
        switch request {
        case .processStart(let start): try processes.start(start, on: stream)
        case .rehearse(let start): try processes.rehearse(start, on: stream)
        case .processAttach(let attach): try processes.attach(attach, on: stream)
        case .processWait(let id): try processes.wait(id, on: stream)
        case .processSignal(let id, let signal, let group):
            try processes.signal(id, signal, group: group)
            ok(stream)
        case .processResize(let id, let columns, let rows):
            try processes.resize(id, columns: columns, rows: rows)
            ok(stream)
        case .processList: channel.send(processes.list(), on: stream, final: true)
        case .watch(let path, let recursive):
            let path = try Path.checked(path)
            try Watch(path, recursive: recursive, stream: stream, loop: loop, pool: pool, channel: channel).begin()
        case .dial(let port):
            guard port != 0 else { throw WireStatus(.invalid, "There is no port 0") }
            Dial(port: port, stream: stream, loop: loop, channel: channel).begin()
        case .services(let list):
            try services.replace(with: list)
            ok(stream)
        case .processTable: answer(stream) { () throws(WireStatus) in ProcScan.table() }
        case .metrics:
            let uptime = UInt64(clamping: EventLoop.now() - started)
            answer(stream) { () throws(WireStatus) in ProcScan.metrics(uptimeMilliseconds: uptime) }
        case .checkpointBlockers: findBlockers(stream)
        default: try handleControl(request, on: stream)
        }
    }

    private func handleControl(_ request: Request, on stream: Stream) throws(WireStatus) {
        switch request {
        case .setClock(let nanoseconds):
            try SystemControl.setClock(nanoseconds)
            ok(stream)
        case .addEntropy(let bytes):
            try SystemControl.addEntropy(bytes)
            ok(stream)
        case .setHostname(let name):
            try SystemControl.setHostname(name)
            ok(stream)
        case .setIdentity(let bytes):
            try identity.become(bytes)
            ok(stream)
        case .setLimits(let limits):
            keeper.apply(limits, log: log)
            ok(stream)
        case .shutdown(let grace):
            ok(stream)
            stop(graceMilliseconds: grace)
        default:
            if try handleFile(request, on: stream) { return }
            throw WireStatus(.unsupported, "This request is not the host's to make")
        }
    }

    /// A checkpoint follows when nothing stands in its way, so the watches end here: a restored guest has no use for
    /// them, and gVisor fails at the checkpoint after the next if an inotify instance is closed after a restore.
    ///
    /// A machine is saved with whatever it does: there nothing stands in the way.
    private func findBlockers(_ stream: Stream) {
        let isMachine = machine != nil
        pool.submit {
            isMachine ? [] : CheckpointBlockers.find()
        } then: { [self] lines in
            if lines.isEmpty {
                let status = WireStatus(.cancelled, "The sandbox is about to sleep; watch again when it is awake")
                channel.closeAll(status) { $0 is Watch }
            }
            channel.send(.blockers(lines), on: stream, final: true)
        }
    }

    func ok(_ stream: Stream) { channel.send(.ok, on: stream, final: true) }
}

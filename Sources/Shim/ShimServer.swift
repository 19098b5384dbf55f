internal import CLinux
internal import Glibc

/// The shim's loop: signals, the sandbox's standard error, and the server's requests.
struct ShimServer {
    private struct Client {
        var buffer: [UInt8] = []
        var watches = false
    }

    private static let maximumClients = 16

    private var slot: Slot
    private let signals: Int32
    private var listener: Int32 = -1
    private var clients: [Int32: Client] = [:]
    /// Whether what runs in it was promised to nobody.
    private var isProvisional = false
    /// Since when nobody is connected to a slot that nobody needs without a server.
    private var deserted: Int?
    /// When a sandbox whose gofer is gone is ended.
    private var orphanEnd: Int?

    init(slot: Slot, signals: Int32) {
        self.slot = slot
        self.signals = signals
    }

    /// Returns the exit code of the process.
    mutating func run() -> Int32 {
        guard let failure = create() else { return serve() }
        Shim.announce("error \(failure.split(whereSeparator: \.isNewline).joined(separator: " "))")
        _ = dismantle()
        return 1
    }

    /// Returns what failed.
    private mutating func create() -> String? {
        if let failure = slot.begin() { return failure }
        let deadline = now() + 20_000
        settling: while true {
            switch slot.settle() {
            case .ready: break settling
            case .failed(let reason): return reason
            case .waiting(let pause):
                guard now() < deadline else { return "creating the sandbox took more than 20 s" }
                wait([signals, slot.errors], until: pause.map { min(now() + $0, deadline) } ?? deadline)
                slot.drainErrors()
                discardSignals()
                _ = slot.reap()
                slot.drainErrors()
            }
        }
        listener = nj_unix_socket(slot.arguments.slot + "/shim.sock", 16)
        return listener < 0 ? "cannot listen: \(String(cString: strerror(-listener)))" : nil
    }

    private mutating func serve() -> Int32 {
        Shim.announce((["ready"] + slot.sandbox.processes.map { "\($0.pid)" }).joined(separator: " "))
        while true {
            updateDesertion()
            orphanEnd = slot.isOrphaned ? orphanEnd ?? now() + 1000 : nil
            let ends = [orphanEnd, deserted.map { $0 + slot.arguments.patience * 1000 }, slot.sandbox.nextLook]
            wait(
                [signals, slot.errors, listener] + clients.keys, also: slot.sandbox.polls,
                until: ends.compactMap(\.self).min())
            slot.look(now: now())
            if let orphanEnd, now() >= orphanEnd { slot.endOrphan() }
            if let deserted, now() >= deserted + slot.arguments.patience * 1000 {
                _ = dismantle()
                return 0
            }
            slot.drainErrors()
            discardSignals()
            if slot.reap() { tellWatchers() }
            accept()
            for client in clients.keys where read(client) {
                // Told to end: the answer is the last thing that happens.
                let done = dismantle()
                send(client, ShimMessage.answer(.kill, failed: !done))
                return 0
            }
        }
    }

    private mutating func updateDesertion() {
        let isDeserted = clients.isEmpty && (slot.state == .created || isProvisional)
        deserted = isDeserted ? deserted ?? now() : nil
    }

    // MARK: Connections

    private mutating func accept() {
        let descriptor = nj_accept(listener)
        guard descriptor >= 0 else { return }
        let user = nj_peer_user(descriptor)
        guard user == 0 || user == Int64(geteuid()), clients.count < Self.maximumClients else {
            close(descriptor)
            return
        }
        clients[descriptor] = Client()
    }

    /// Reads and answers what came on a connection.
    ///
    /// - Returns: Whether it asked for the end.
    private mutating func read(_ descriptor: Int32) -> Bool {
        guard let bytes = readSome(descriptor, 4096) else {
            if errno != EAGAIN { drop(descriptor) }
            return false
        }
        guard !bytes.isEmpty, var buffer = clients[descriptor]?.buffer else {
            drop(descriptor)
            return false
        }
        buffer += bytes
        while let body = ShimMessage.next(&buffer) {
            guard let first = body.first, let operation = ShimOperation(rawValue: first) else {
                drop(descriptor)
                return false
            }
            if operation == .kill { return true }
            answer(operation, body.dropFirst(), to: descriptor)
        }
        clients[descriptor]?.buffer = buffer
        return false
    }

    private mutating func answer(_ operation: ShimOperation, _ payload: ArraySlice<UInt8>, to client: Int32) {
        switch operation {
        case .info:
            send(client, ShimMessage.answer(.info, Array(slot.information.utf8)))
        case .channel:
            send(client, ShimMessage.answer(.channel), descriptor: slot.channel)
        case .attachRoot, .guardMemory, .layer, .attachFiles, .seal:
            let outcome = slot.perform(operation, payload)
            let text = Array((outcome.failure ?? "").utf8)
            send(
                client, ShimMessage.answer(operation, failed: outcome.failure != nil, text),
                descriptor: outcome.descriptor)
        case .provisional:
            let isKnown = payload.count == 1 && payload.allSatisfy { $0 <= 1 }
            if isKnown { isProvisional = payload.first == 1 }
            send(client, ShimMessage.answer(.provisional, failed: !isKnown))
        case .watch:
            if slot.state == .ended {
                send(client, ending)
            } else {
                clients[client]?.watches = true
            }
        case .kill: break
        }
    }

    private var ending: [UInt8] {
        let code = slot.exitCode.map { "code \($0)\n" } ?? ""
        return ShimMessage.answer(.watch, Array((code + (slot.sandbox.isOutOfMemory ? "oom\n" : "")).utf8))
    }

    private mutating func tellWatchers() {
        for (descriptor, client) in clients where client.watches { send(descriptor, ending) }
    }

    /// Answers are far smaller than a socket's buffer: what does not fit goes to a peer that does not read.
    private mutating func send(_ client: Int32, _ bytes: [UInt8], descriptor: Int32? = nil) {
        let descriptors = descriptor.map { [$0] } ?? []
        let sent = nj_send_descriptors(client, bytes, bytes.count, descriptors, descriptors.count)
        if sent != Int64(bytes.count) { drop(client) }
    }

    private mutating func drop(_ client: Int32) {
        guard clients.removeValue(forKey: client) != nil else { return }
        close(client)
    }

    // MARK: The end

    /// Kills and removes everything of the slot, in at most five seconds.
    ///
    /// - Returns: Whether everything is gone.
    private mutating func dismantle() -> Bool {
        let deadline = now() + 5000
        slot.killAll()
        while slot.hasChildren, now() < deadline {
            wait([signals], until: min(deadline, now() + 500))
            discardSignals()
            _ = slot.reap()
            // A child may have been forked while its parent was being killed; it is ours now.
            slot.killAll()
        }
        while !slot.remove(), now() < deadline {
            slot.killAll()
            usleep(2000)
            _ = slot.reap()
        }
        return now() < deadline
    }

    // MARK: Waiting

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    private func wait(_ descriptors: [Int32], also others: [pollfd] = [], until deadline: Int?) {
        var polls = descriptors.filter { $0 >= 0 }.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) } + others
        let timeout = deadline.map { Int32(clamping: max(0, $0 - now())) } ?? -1
        poll(&polls, nfds_t(polls.count), timeout)
    }

    private func discardSignals() {
        while let bytes = readSome(signals, 1024), !bytes.isEmpty {}
    }
}

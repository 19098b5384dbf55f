import Client
import Foundation
import Glibc
import SandboxModel
import Synchronization
import Testing

/// A real server with directories of its own.
final class TestServer: Sendable {
    let directory: String
    let client: NightjarClient
    private let process = Mutex<ChildProgram?>(nil)
    private let slots = Mutex<Set<String>>([])
    /// More for the server's environment, from the next start on.
    let variables = Mutex<[String: String]>([:])

    let dataDirectory: String
    var runDirectory: String { directory + "/run" }
    var url: String { "unix://\(runDirectory)/nightjar.sock" }
    /// Where it finds what it is told to do at its steps.
    var ordersPath: String { directory + "/orders" }
    var logPath: String { directory + "/server.log" }
    private let logStart = Mutex<UInt64>(0)
    /// What the server that was started last has written.
    func lastLog() -> String {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return "" }
        let start = logStart.withLock { $0 }
        guard (try? file.seek(toOffset: start)) != nil, let bytes = try? file.readToEnd() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// More options of `serve`. Without any, nothing is booted ahead.
    private let options: [String]
    /// Where the shim and the init are.
    private let programs: String

    /// - Parameter data: Its data directory; by default one beside the others.
    init(data: String? = nil, options: [String] = [], programs: String = TestEnvironment.libexec) throws {
        self.options = options
        self.programs = programs
        directory = "\(TestEnvironment.temporary)/e2e-\(UUID().uuidString.prefix(6).lowercased())"
        dataDirectory = data ?? directory + "/data"
        for path in [dataDirectory + "/templates", directory + "/run", directory + "/home"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: TestEnvironment.templates) {
            try FileManager.default.createSymbolicLink(
                atPath: "\(dataDirectory)/templates/\(name)",
                withDestinationPath: "\(TestEnvironment.templates)/\(name)")
        }
        _ = FileManager.default.createFile(atPath: directory + "/server.log", contents: nil)
        var configuration = ClientConfiguration(endpoint: .unixSocket(path: directory + "/run/nightjar.sock"))
        configuration.unavailablePatience = .seconds(30)
        client = NightjarClient(configuration)
    }

    /// Runs a server for `body`; afterwards nothing of it may be left.
    ///
    /// - Parameters:
    ///   - options: More options of `serve`.
    ///   - data: Its data directory; by default one beside the others.
    ///   - variables: More for its environment.
    static func with<R>(
        _ options: [String] = [], data: String? = nil, programs: String = TestEnvironment.libexec,
        variables: (TestServer) -> [String: String] = { _ in [:] }, _ body: (TestServer) async throws -> R
    ) async throws -> R {
        let server = try TestServer(data: data, options: options, programs: programs)
        let more = variables(server)
        server.variables.withLock { $0 = more }
        do {
            try await server.start()
            let result = try await body(server)
            try await server.finish()
            return result
        } catch {
            let log = (try? String(contentsOfFile: server.logPath, encoding: .utf8)) ?? ""
            print("the server's log ends with:\n" + log.split(separator: "\n").suffix(25).joined(separator: "\n"))
            try? await server.finish()
            throw error
        }
    }

    // MARK: Start and end

    /// Starts it and waits until it is ready.
    func start() async throws {
        try launch()
        try await ready(within: .seconds(90))
    }

    var isRunning: Bool { process.withLock { $0?.exitCode == nil && $0 != nil } }

    /// Waits until it is ready.
    func ready(within limit: Duration) async throws {
        guard let child = process.withLock({ $0 }) else { throw TestFailure("there is no server") }
        _ = try await eventually("the server is ready", within: limit) {
            guard FileManager.default.fileExists(atPath: "/proc/\(child.pid)/exe") else {
                throw TestFailure("the server ended at once")
            }
            return (try? await client.health())?.status == "ok" ? true : nil
        }
    }

    /// Starts it without waiting.
    @discardableResult
    func launch() throws -> ChildProgram {
        guard let log = FileHandle(forUpdatingAtPath: logPath) else { throw TestFailure("there is no log") }
        let offset = try log.seekToEnd()
        logStart.withLock { $0 = offset }
        // Whether a machine's processor can run virtual machines must not decide what is tested.
        let usual = [
            "NIGHTJAR_LIBEXEC": programs, "NIGHTJAR_ISOLATION": "gvisor", "NIGHTJAR_KERNELS": TestEnvironment.kernels,
        ]
        let variables = TestEnvironment.childVariables.merging(usual) { $1 }
            .merging(self.variables.withLock { $0 }) { $1 }
        let arguments =
            [
                "serve", "--data-dir", dataDirectory, "--run-dir", runDirectory, "--listen", "127.0.0.1:0",
                "--log-level",
                "debug",
            ] + (options.contains("--preboot") ? options : options + ["--preboot", "0"])
        let child = try ChildProgram(
            TestEnvironment.program, arguments, variables: variables, output: log, error: log)
        process.withLock { $0 = child }
        return child
    }

    /// Waits until it has ended by itself.
    ///
    /// - Returns: Its exit code; `nil` if it runs on.
    func ended(within limit: Duration) async -> Int32? {
        guard let child = process.withLock({ $0 }) else { return 0 }
        let deadline = ContinuousClock.now + limit
        while child.exitCode == nil, .now < deadline { try? await Task.sleep(for: .milliseconds(5)) }
        let code = child.exitCode
        if code != nil {
            noteSlots()
            process.withLock { $0 = nil }
        }
        return code
    }

    var pid: Int32? { process.withLock { $0?.pid } }

    /// Sends it a signal.
    func signal(_ number: Int32) { process.withLock { $0 }?.signal(number) }

    /// Kills it; its sandboxes go on.
    func kill() async {
        noteSlots()
        guard let child = process.withLock({ $0.take() }) else { return }
        child.signal(SIGKILL)
        _ = await child.wait()
    }

    /// Asks it to end; its sandboxes go on.
    ///
    /// - Returns: Its exit code.
    @discardableResult
    func stop() async throws -> Int32 {
        noteSlots()
        guard let child = process.withLock({ $0.take() }) else { return 0 }
        child.signal(SIGTERM)
        return await child.wait()
    }

    func restart() async throws {
        await kill()
        try await start()
    }

    /// What a reboot of the machine leaves: no process, no control group, an empty run directory, and the disk.
    /// - Parameter meanwhile: What happens to the machine before the next server starts.
    func reboot(_ meanwhile: () async throws -> Void = {}) async throws {
        await kill()
        _ = try await eventually("all processes are dead") { () -> Bool? in
            let all = Host.processes().filter { $0.commandLine.contains(runDirectory + "/") }
            for process in all { Glibc.kill(process.pid, SIGKILL) }
            // What is frozen would not even end by SIGKILL.
            for group in cgroups() {
                try? "THAWED".write(toFile: group + "/freezer.state", atomically: false, encoding: .utf8)
            }
            return all.isEmpty ? true : nil
        }
        _ = try await eventually("the control groups are gone") { () -> Bool? in
            for group in cgroups() { rmdir(group) }
            return cgroups().isEmpty ? true : nil
        }
        try FileManager.default.removeItem(atPath: runDirectory)
        try FileManager.default.createDirectory(atPath: runDirectory, withIntermediateDirectories: true)
        try await meanwhile()
        try await start()
    }

    /// Deletes every sandbox, ends the server, and looks for leftovers.
    func finish() async throws {
        if process.withLock({ $0 == nil }) { try await start() }
        for sandbox in try await client.allSandboxes() { try await client.delete(sandbox.id.rawValue) }
        let code = try await stop()
        await client.close()
        #expect(code == 0, "a server that is told to end does so in order")
        let left = await leftovers()
        #expect(left.isEmpty, "nothing is left of a server without sandboxes")
        try FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Leftovers

    /// What the machine still has of this server, a moment after its end.
    private func leftovers() async -> [String] {
        let found = { self.processes() + self.mounts() + self.cgroups() + self.files() }
        _ = try? await eventually("nothing is left", within: .seconds(5)) { found().isEmpty ? true : nil }
        return found()
    }

    /// Command lines of this machine's processes that name this server's directories.
    func processes() -> [String] {
        Host.processes().map(\.commandLine).filter { $0.contains(directory + "/") }
    }

    /// The monitors of this server's virtual machines, whose command lines name nothing of it.
    func monitors() -> [Int32] {
        let all = Host.processes()
        let shims = Set(all.filter { $0.commandLine.contains(runDirectory + "/vm/") }.map(\.pid))
        return all.filter { $0.commandLine.contains("qemu-system") && !shims.contains($0.pid) }.map(\.pid).filter {
            pid in
            Host.parent(of: pid).map { shims.contains($0) } ?? false
        }
    }

    func mounts() -> [String] {
        let text = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init).filter { $0.contains(directory + "/") }
    }

    /// Control groups are named by slots, which are folders of the run directory.
    func noteSlots() {
        let names = ["gvisor", "vm"].flatMap {
            (try? FileManager.default.contentsOfDirectory(atPath: "\(runDirectory)/\($0)")) ?? []
        }
        slots.withLock { $0.formUnion(names.filter { $0.count >= 8 }) }
    }

    func cgroups() -> [String] {
        let hierarchies = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/fs/cgroup")) ?? []
        return slots.withLock { $0 }.flatMap { slot in
            (hierarchies.map { "/sys/fs/cgroup/\($0)" } + ["/sys/fs/cgroup"])
                .flatMap { ["\($0)/nightjar/\(slot)", "\($0)/nightjar-vm/\(slot)"] }
                .filter { FileManager.default.fileExists(atPath: $0) }
        }
    }

    private func files() -> [String] {
        let run = directory + "/run"
        return [dataDirectory + "/sandboxes", dataDirectory + "/trash", run + "/gvisor", run + "/vm"].flatMap { place in
            ((try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [])
                .filter { !place.hasSuffix("/gvisor") || $0 != "root" }.map { "\(place)/\($0)" }
        }
    }

    // MARK: The command line

    /// Runs the client program against this server.
    func nightjar(
        _ arguments: String..., input: [UInt8]? = nil, within limit: Duration = .seconds(60)
    ) async throws -> ChildProgram.Result {
        try await ChildProgram.run(
            TestEnvironment.program, arguments, variables: commandVariables, input: input, within: limit)
    }

    /// What `/metrics` says.
    func metrics() async throws -> String {
        let arguments = ["-sS", "--unix-socket", "\(runDirectory)/nightjar.sock", "http://localhost/metrics"]
        return try await ChildProgram.run("/usr/bin/curl", arguments, variables: TestEnvironment.childVariables).text
    }

    /// Runs another server to its end.
    func serve(data: String, run: String) async throws -> ChildProgram.Result {
        let variables = TestEnvironment.childVariables.merging(["NIGHTJAR_LIBEXEC": TestEnvironment.libexec]) { $1 }
        return try await ChildProgram.run(
            TestEnvironment.program, ["serve", "--data-dir", data, "--run-dir", run, "--listen", "none"],
            variables: variables)
    }

    var commandVariables: [String: String] {
        TestEnvironment.childVariables.merging(["NIGHTJAR_URL": url]) { $1 }
    }
}

/// What `/proc` shows.
enum Host {
    struct Entry: Hashable {
        var pid: Int32
        var commandLine: String
    }

    static func processes() -> [Entry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.compactMap { pid in
            guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"), !data.isEmpty else {
                return nil
            }
            let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return Entry(pid: pid, commandLine: words.joined(separator: " "))
        }
    }

    /// `nil` if the process is gone.
    static func parent(of pid: Int32) -> Int32? {
        let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = text?.split(separator: "\n").first { $0.hasPrefix("PPid:") }
        return line.flatMap { Int32($0.dropFirst(5).trimmingCharacters(in: .whitespaces)) }
    }
}

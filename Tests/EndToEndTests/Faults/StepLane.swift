import Client
import Faults
import Foundation
import Glibc
import LinuxSystem
import SandboxModel
import Synchronization
import Testing
import Wire

/// One server that goes through steps, with a sandbox that is kept from one to the next as long as it lasts.
final class StepLane {
    enum Order: String {
        case kill, fail
    }

    /// What the sandbox must still have.
    struct Subject {
        var keeper: Keeper
        var answer: Keeper.Answer
        var file: String
    }

    let server: TestServer
    let orders: StepOrders
    private var subject: Subject?
    private var count = 0
    /// Where the lane is, for messages.
    private var place = ""
    private static let name = "subject"

    var client: NightjarClient { server.client }

    init(_ server: TestServer) {
        self.server = server
        orders = StepOrders(path: server.ordersPath)
    }

    /// The environment of such a server. A slot is made when it is needed, so that its steps have their turn.
    static func variables(_ server: TestServer) -> [String: String] {
        [FaultInjection.variable: server.ordersPath, "NIGHTJAR_PREWARM": "0"]
    }

    /// Brings the server to a step, where it ends or fails, and looks at what is left.
    func run(_ step: Step, _ scenario: StepScenario, _ order: Order) async throws {
        place = "\(order.rawValue) \(step.rawValue) in \(scenario.rawValue)"
        try await prepare(scenario)
        let acknowledged = try await drive(scenario, orders: "\(order.rawValue) \(step.rawValue)")
        switch order {
        case .kill:
            guard await server.ended(within: .seconds(60)) != nil else {
                Issue.record("\(place): the step was not reached")
                return await giveUp()
            }
            expect(orders.isMet(step), "the server ended somewhere else")
        case .fail:
            _ = try? await eventually("met", within: .seconds(60)) { orders.isMet(step) ? true : nil }
            expect(orders.isMet(step), "the step was not reached")
            // A step before the server is ready may end it, in good order.
            if scenario.isAtStart, (try? await client.health()) == nil { _ = await server.ended(within: .seconds(20)) }
        }
        orders.clear()
        if !server.isRunning { try await server.start() }
        do {
            try await check(scenario, order, acknowledged: acknowledged)
        } catch {
            Issue.record("\(place): \(error)")
            await giveUp()
        }
    }

    private func giveUp() async {
        orders.clear()
        await server.kill()
        subject = nil
    }

    private func expect(_ condition: Bool, _ what: String) {
        if !condition { Issue.record("\(place): \(what)") }
    }

    // MARK: Before

    private func prepare(_ scenario: StepScenario) async throws {
        if !server.isRunning { try await server.start() }
        guard let state = scenario.before else { return }
        if subject == nil { try await makeSubject() }
        switch state {
        case .standby: _ = try await client.standby(Self.name)
        case .paused: _ = try await client.pause(Self.name)
        case .stopped: _ = try await client.stop(Self.name)
        default: _ = try await client.resume(Self.name)
        }
    }

    private func makeSubject() async throws {
        if try await client.allSandboxes().contains(where: { $0.name == Self.name }) {
            try await client.delete(Self.name)
        }
        _ = try await client.makeSandbox(Self.name)
        count += 1
        try await client.sh(Self.name, "echo content-\(count) > /workspace/file")
        try await makeKeeper(file: "content-\(count)")
    }

    private func makeKeeper(file: String) async throws {
        let keeper = try await Keeper.start(client, Self.name, mebibytes: 4)
        subject = Subject(keeper: keeper, answer: try await keeper.ask(), file: file)
    }

    // MARK: The way to the step

    /// - Returns: Whether a request was answered without an error.
    private func drive(_ scenario: StepScenario, orders order: String) async throws -> Bool {
        if scenario.isAtStart {
            try await goAway(scenario)
            try orders.give(order)
            try server.launch()
            if order.hasPrefix("fail") { _ = try? await server.ready(within: .seconds(90)) }
            return false
        }
        try orders.give([scenario.detour, order].compactMap { $0 })
        do {
            return try await request(scenario)
        } catch {
            return false
        }
    }

    /// Leaves what a server is to find.
    private func goAway(_ scenario: StepScenario) async throws {
        switch scenario {
        case .completeStart: try await endAt(.wakeRestored) { _ = try await client.resume(Self.name) }
        case .keep: try await endAt(.wakeRecorded) { _ = try await client.resume(Self.name) }
        case .completeStandby:
            try await endAt(.standbyImageDurable) { _ = try await client.standby(Self.name) }
            try killSentry()
        default: await server.kill()
        }
        if scenario == .orphan {
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(atPath: server.dataDirectory + "/nightjar.sqlite" + suffix)
            }
        }
        if scenario == .newLayer { try useAnotherInit() }
    }

    private func endAt(_ step: Step, _ request: () async throws -> Void) async throws {
        try orders.give("kill \(step.rawValue)")
        try? await request()
        guard await server.ended(within: .seconds(60)) != nil else {
            throw TestFailure("\(place): the server did not end at \(step.rawValue)")
        }
    }

    /// A program with more bytes behind its end is another one to the server, and the same to the kernel.
    private func useAnotherInit() throws {
        count += 1
        let directory = server.directory + "/libexec"
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for name in ["nightjar-init", "nightjar-shim"] {
            try FileManager.default.copyItem(
                atPath: "\(TestEnvironment.libexec)/\(name)", toPath: "\(directory)/\(name)")
        }
        guard let file = FileHandle(forWritingAtPath: directory + "/nightjar-init") else { return }
        try file.seekToEnd()
        try file.write(contentsOf: Data("\(count)".utf8))
        try file.close()
        server.variables.withLock { $0["NIGHTJAR_LIBEXEC"] = directory }
    }

    /// - Returns: Whether it was answered without an error.
    private func request(_ scenario: StepScenario) async throws -> Bool {
        switch scenario {
        case .create, .createUndone: _ = try await client.makeSandbox("made")
        case .standby, .turnBack: _ = try await client.standby(Self.name)
        case .pause: _ = try await client.pause(Self.name)
        case .start, .unpause, .wake, .fallBack: _ = try await client.resume(Self.name)
        case .stop, .stopAsleep: _ = try await client.stop(Self.name)
        case .delete: try await client.delete(Self.name)
        case .damagedWake:
            try damageImage()
            _ = try await client.resume(Self.name)
        case .lose:
            try killSentry()
            return false
        case .recover:
            try await breakSession()
            return false
        case .deleteOvertaking: try await deleteWhileItSuspends()
        case .drain:
            server.signal(SIGTERM)
            return false
        default: throw TestFailure("\(scenario) is not a request")
        }
        return true
    }

    private func deleteWhileItSuspends() async throws {
        let client = client
        async let sleeping = try? client.standby(Self.name)
        _ = try await eventually("it is suspending") {
            let state = try await client.sandbox(Self.name).state
            return state == .suspending || state == .standby ? true : nil
        }
        try await client.delete(Self.name)
        _ = await sleeping
    }

    private func damageImage() throws {
        let id = try FileManager.default.contentsOfDirectory(atPath: server.dataDirectory + "/sandboxes").first ?? ""
        let images = "\(server.dataDirectory)/sandboxes/\(id)/checkpoint"
        let image = try FileManager.default.contentsOfDirectory(atPath: images).first ?? ""
        truncate("\(images)/\(image)/pages.img", 4096)
    }

    private func killSentry() throws {
        let sentry = server.sandboxProcesses().first { $0.commandLine.contains("runsc-sandbox") }
        guard let sentry else { throw TestFailure("\(place): there is no sentry") }
        Glibc.kill(sentry.pid, SIGKILL)
    }

    /// Begins another session on the guest's channel: the answer to it is nothing that the server can read.
    private func breakSession() async throws {
        let slot = try #require(server.assignedSlots().first)
        let socket = try UnixSocket.connect("\(server.runDirectory)/gvisor/\(slot)/shim.sock")
        try await socket.send([1, 0, 0, 0, 2], until: .now + .seconds(5))
        let channel = try #require(try await socket.receive(until: .now + .seconds(5)).descriptors.first)
        try channel.writeAll(Resync.opening(nonce: [UInt8](repeating: 7, count: Resync.nonceSize)))
    }

    // MARK: After

    private func check(_ scenario: StepScenario, _ order: Order, acknowledged: Bool) async throws {
        var sandboxes = try await client.allSandboxes()
        if order == .fail, [.delete, .deleteOvertaking].contains(scenario), let left = sandboxes.first {
            // What failed is told, and may be repeated.
            expect(left.state == .failed, "a deletion that failed is \(left.state)")
            try await client.delete(Self.name)
            sandboxes = try await client.allSandboxes()
        }
        switch scenario {
        case .create, .createUndone:
            // What an undone creation left is removed by the next server.
            if order == .fail, scenario == .createUndone { try await server.restart() }
            sandboxes = try await client.allSandboxes()
            try await checkCreation(sandboxes, acknowledged: acknowledged)
        case .delete, .deleteOvertaking, .orphan:
            expect(sandboxes.isEmpty, "a deletion that began is finished: \(sandboxes.map(\.state))")
            subject = nil
        default:
            if acknowledged, let promised = scenario.promised {
                let state = try await client.sandbox(Self.name).state
                expect(state == promised, "it was promised to be \(promised), and is \(state)")
            }
            if scenario == .lose {
                let problem = try await client.sandbox(Self.name).problem
                expect(problem != nil, "that the memory was lost is told, whoever finishes it")
            }
            // Two faults at once, of which one keeps the guest from going on, are one too many.
            let isTooMuch = order == .fail && scenario == .turnBack
            try await checkSubject(keepsMemory: scenario.keepsMemory && !isTooMuch)
        }
        try await expectNoLeak()
    }

    private func checkCreation(_ sandboxes: [SandboxResource], acknowledged: Bool) async throws {
        let made = sandboxes.first { $0.name == "made" }
        expect(made != nil || !acknowledged, "what was acknowledged is there")
        expect(made == nil || made?.state == .running, "what is there runs: \(made?.state.rawValue ?? "")")
        guard made != nil else { return }
        try await client.sh("made", "true")
        try await client.delete("made")
    }

    private func checkSubject(keepsMemory: Bool) async throws {
        guard let before = subject else { return }
        let sandbox = try await client.sandbox(Self.name)
        let mayHaveLost = [.stopped, .failed].contains(sandbox.state) || sandbox.problem?.code == .memoryLost
        expect(
            !keepsMemory || !mayHaveLost, "its memory must have been kept: \(sandbox.state), \(sandbox.problem as Any)")
        if sandbox.state == .failed { expect(sandbox.problem != nil, "a failure is told") }
        let content = try await client.sh(Self.name, "cat /workspace/file")
        expect(content == before.file, "the file has '\(content)' instead of '\(before.file)'")
        if mayHaveLost {
            // A transition at the start may have lost it meanwhile; then nobody answers.
            return try await makeKeeper(file: before.file)
        }
        do {
            let answer = try await before.keeper.ask()
            let isSame =
                (answer.pid, answer.token, answer.memoryHash)
                == (before.answer.pid, before.answer.token, before.answer.memoryHash)
            expect(isSame, "the memory is another: \(answer) after \(before.answer)")
            expect(
                answer.counter == before.answer.counter + 1, "counted \(answer.counter) after \(before.answer.counter)")
            subject?.answer = answer
        } catch {
            expect(!keepsMemory, "the memory is gone: \(error)")
            try await makeKeeper(file: before.file)
        }
    }

    private func expectNoLeak() async throws {
        var leaks: [String] = []
        do {
            _ = try await eventually("nothing is leaked", within: .seconds(20)) {
                leaks = try await server.leaks(expecting: try await client.allSandboxes())
                return leaks.isEmpty ? true : nil
            }
        } catch is TestFailure {
            expect(false, "leaked: \(leaks.joined(separator: ", "))")
        }
    }
}

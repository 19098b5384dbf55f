internal import GuestClient
internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime
internal import Wire

extension APIService {
    func addProcessRoutes(to router: Router<APIContext>) {
        let base: RouterPath = "/v1/sandboxes/{sandbox}/processes"
        router.post("/v1/sandboxes/{sandbox}/exec", use: exec)
        router.post(base, use: startProcess)
        router.get(base) { request, context in
            _ = try Query(request, known: [])
            let items = try await look(try context.sandbox(), .request("processes"), context) { guest in
                try await guest.session.processes().map { ProcessResource($0) }
            }
            return try Response.json(Items(items: items))
        }
        router.get("\(base)/table") { request, context in
            _ = try Query(request, known: [])
            let items = try await look(try context.sandbox(), .request("process table"), context) { guest in
                try await guest.session.processTable().map { ProcessTableEntryResource($0) }
            }
            return try Response.json(Items(items: items))
        }
        router.get("\(base)/{process}") { request, context in
            _ = try Query(request, known: [])
            let id = try context.process()
            return try Response.json(
                try await look(try context.sandbox(), .request("process"), context) { guest in
                    ProcessResource(try await Self.info(of: id, guest.session))
                })
        }
        router.get("\(base)/{process}/wait", use: wait)
        router.post("\(base)/{process}/signal", use: signal)
        router.post("\(base)/{process}/stdin", use: writeInput)
        router.post("\(base)/{process}/resize", use: resize)
    }

    static func info(of id: UInt32, _ session: GuestSession) async throws -> ProcessInfo {
        guard let info = try await session.processes().first(where: { $0.id == id }) else {
            throw SandboxError(.processNotFound, "There is no process \(id) in this sandbox.")
        }
        return info
    }

    @Sendable private func exec(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let sandbox = try context.sandbox()
        let exec = try ValidExec(try await context.json(ExecRequest.self, from: request), for: .exec)
        // When the client goes, nobody waits any more; the process goes on.
        let (result, duration) = try await context.connection.whileOpen(endsAtShutdown: false) {
            try await runtime.withGuest(sandbox, .request("exec")) { guest in
                let clock = ContinuousClock()
                let start = clock.now
                let result = try await guest.session.run(
                    exec.start(guest.defaults), input: exec.input, outputLimit: exec.request.maxOutput ?? 1 << 20)
                return (result, clock.now - start)
            }
        }
        let (out, err) = (textAndBytes(result.stdout), textAndBytes(result.stderr))
        return try Response.json(
            ExecResource(
                id: result.id, exitCode: result.exit.code,
                signal: result.exit.signal == 0 ? nil : Int(result.exit.signal),
                timedOut: result.exit.timedOut, cause: ExitCause(result.exit), stdout: out.text, stderr: err.text,
                stdoutBase64: out.base64,
                stderrBase64: err.base64, stdoutTruncated: result.stdoutTruncated,
                stderrTruncated: result.stderrTruncated,
                durationMs: Double(duration.components.seconds) * 1000
                    + (Double(duration.components.attoseconds) / 1e12).rounded() / 1000))
    }

    @Sendable private func startProcess(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let sandbox = try context.sandbox()
        let exec = try ValidExec(try await context.json(ExecRequest.self, from: request), for: .process)
        let (id, info) = try await runtime.withGuest(sandbox, .request("start")) { guest in
            var start = exec.start(guest.defaults)
            start.attach = false
            return (guest.id, try await guest.session.launch(start))
        }
        return try Response.created(
            ProcessResource(info), at: "/v1/sandboxes/\(id.rawValue)/processes/\(info.id)")
    }

    @Sendable private func wait(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["timeout"])
        let timeout = try query.number("timeout", in: 0...3600) ?? 60
        let (sandbox, id) = (try context.sandbox(), try context.process())
        let exit = try await context.connection.whileOpen(endsAtShutdown: true) {
            try await look(sandbox, .request("wait"), context) { guest in
                try await Self.waitForExit(of: id, guest.session, timeout: .seconds(timeout))
            }
        }
        return try Response.json(ExitResource(exit))
    }

    private static func waitForExit(
        of id: UInt32, _ session: GuestSession, timeout: Duration
    ) async throws -> ProcessExit {
        // A timeout of 0 asks, and does not wait.
        if let exit = try await info(of: id, session).exit { return exit }
        return try await withThrowingTaskGroup(of: ProcessExit.self) { group in
            group.addTask { try await session.wait(process: id) }
            group.addTask {
                try await Task.sleep(for: timeout)
                throw SandboxError(.deadlineExceeded, "Process \(id) still runs.", hint: "wait again, or longer")
            }
            defer { group.cancelAll() }
            guard let exit = try await group.next() else {
                throw SandboxError(.internalError, "Waiting for process \(id) ended without a result.")
            }
            return exit
        }
    }

    @Sendable private func signal(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let (sandbox, id) = (try context.sandbox(), try context.process())
        let body = try await context.json(SignalBody.self, from: request)
        try await runtime.withGuest(sandbox, .request("signal")) { guest in
            try await guest.session.signal(process: id, signal: body.signal.number, group: body.group ?? true)
        }
        return Response.noContent
    }

    @Sendable private func resize(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try Query(request, known: [])
        let (sandbox, id) = (try context.sandbox(), try context.process())
        let size = try await context.json(ExecRequest.Terminal.self, from: request)
        let (columns, rows) = try TerminalSize.check(columns: size.columns, rows: size.rows)
        try await runtime.withGuest(sandbox, .request("resize")) { guest in
            try await guest.session.resize(process: id, columns: columns, rows: rows)
        }
        return Response.noContent
    }

    @Sendable private func writeInput(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try Query(request, known: ["close"])
        let close = try query.flag("close") ?? false
        let (sandbox, id) = (try context.sandbox(), try context.process())
        let body = try UploadBody(request, limit: configuration.maximumUpload)
        try await context.acceptBody(of: request)
        try await runtime.withGuest(sandbox, .request("stdin")) { guest in
            let info = try await Self.info(of: id, guest.session)
            if info.exit != nil { throw SandboxError(.processExited, "Process \(id) has exited.") }
            let stream = try await guest.session.attach(ProcessAttach(id: id, offset: -1))
            try await Self.feed(stream, body, close: close)
            await stream.detach()
        }
        return Response.noContent
    }

    /// Writes input while reading and dropping output: an attached reader that does not read would stop the process.
    private static func feed(_ stream: ProcessStream, _ body: UploadBody, close: Bool) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                for try await piece in body { try await stream.write(piece) }
                if close { try await stream.closeInput() }
                return true
            }
            group.addTask {
                while let event = try await stream.next() {
                    if case .exited = event { break }
                }
                return false
            }
            defer { group.cancelAll() }
            if try await group.next() == false {
                throw SandboxError(.processExited, "The process exited before it took all of its input.")
            }
        }
    }
}

/// Body of `…/signal`.
private struct SignalBody: Decodable {
    let signal: SignalNumber
    let group: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case signal, group
    }
}

/// A signal as number or name, with or without `SIG`.
struct SignalNumber: Decodable {
    let number: UInt8

    private static let names: [String] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
        "IO",
        "PWR", "SYS",
    ]

    init(number: Int) throws(SandboxError) {
        guard (1...64).contains(number) else { throw SandboxError(.invalidRequest, "signal must be between 1 and 64.") }
        self.number = UInt8(number)
    }

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        guard let text = try? value.decode(String.self) else {
            try self.init(number: try value.decode(Int.self))
            return
        }
        let name = text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text
        guard let index = Self.names.firstIndex(of: name) else {
            throw SandboxError(.invalidRequest, "signal is not the name of a signal.", hint: "for example TERM, or 15")
        }
        try self.init(number: index + 1)
    }
}

enum TerminalSize {
    static func check(columns: Int, rows: Int) throws(SandboxError) -> (UInt16, UInt16) {
        guard (1...1000).contains(columns), (1...1000).contains(rows) else {
            throw SandboxError(.invalidRequest, "columns and rows must be between 1 and 1000.")
        }
        return (UInt16(columns), UInt16(rows))
    }
}

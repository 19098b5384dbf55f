import GuestClient
import SandboxModel
import Testing
import Wire

@Suite(.timeLimit(.minutes(5)))
struct StatusTests {
    @Test(arguments: [
        (WireStatus.Code.ok, SandboxError.Code.guestFailed), (.invalid, .notApplicable), (.notFound, .fileNotFound),
        (.exists, .fileExists), (.permission, .permissionDenied), (.notDirectory, .notADirectory),
        (.isDirectory, .isADirectory), (.notEmpty, .directoryNotEmpty), (.noSpace, .noSpace),
        (.tooLarge, .bodyTooLarge),
        (.cannotExecute, .cannotExecute), (.noSuchUser, .noSuchUser), (.refused, .connectionRefused),
        (.exited, .processExited), (.behind, .outputLost), (.unsupported, .unsupported), (.cancelled, .cancelled),
        (.failed, .guestFailed),
    ])
    func `each reason of the guest has its code, and names the file`(
        status: WireStatus.Code, code: SandboxError.Code
    ) async throws {
        let error = try await error(of: WireStatus(status)) {
            _ = try await $0.stat(Array("/etc/x".utf8), follow: true)
        }
        #expect(error.code == code)
        #expect(error.message.contains("/etc/x") || [.noSpace, .noSuchUser].contains(code))
        #expect(error.message.hasSuffix("."))
    }

    @Test func `a process that is not there is not a file that is not there`() async throws {
        let error = try await error(of: WireStatus(.notFound)) { _ = try await $0.wait(process: 12) }
        #expect(error.code == .processNotFound)
        #expect(error.message == "Process 12 is not known.")
    }

    @Test func `a command that cannot be executed says how to mend it`() async throws {
        let status = WireStatus(.cannotExecute, "No such file or directory", errno: 2)
        let error = try await error(of: status) {
            _ = try await $0.run(ProcessStart(arguments: ["frobnicate"]), input: nil, outputLimit: 1)
        }
        #expect(error.message == "frobnicate cannot be executed: No such file or directory")
        #expect(error.hint?.contains("PATH") == true)
    }

    @Test func `a missing working directory is named`() async throws {
        var start = ProcessStart(arguments: ["ls"])
        start.directory = "/nowhere"
        let error = try await error(of: WireStatus(.notFound)) { [start] in _ = try await $0.start(start) }
        #expect(error.code == .fileNotFound)
        #expect(error.message.contains("/nowhere"))
    }

    @Test func `what the guest says is shortened and cannot move the cursor`() async throws {
        let status = WireStatus(.failed, "\u{1B}[2J\u{9B}evil\n" + String(repeating: "x", count: 5000))
        let path = Array("/a\u{1B}b".utf8) + [0xFF]
        let error = try await error(of: status) { _ = try await $0.stat(path, follow: true) }
        #expect(error.message.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
        #expect(error.message.utf8.count < 600)
        #expect(error.message.contains("evil"))
    }

    /// The error of a request that the guest answers by closing its stream.
    private func error(
        of status: WireStatus, _ request: @escaping @Sendable (GuestSession) async throws -> Void
    ) async throws -> SandboxError {
        let (guest, session) = try await FakeGuest.session()
        let asking = Task { () -> SandboxError? in
            do {
                try await request(session)
                return nil
            } catch { return error as? SandboxError }
        }
        let (id, _) = try await guest.request()
        await guest.close(id, status)
        let error = try #require(await asking.value)
        await session.close()
        return error
    }
}

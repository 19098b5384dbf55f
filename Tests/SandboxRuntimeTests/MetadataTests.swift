import SandboxModel
import Testing

@testable import SandboxRuntime

@Suite struct MetadataTests {
    private func answer(_ request: String) throws -> String {
        let sandbox = Sandbox(
            record: try .test(), phase: .stopped, now: Moment(nanoseconds: 0), wall: .init(unixNanoseconds: 0))
        return String(
            decoding: MetadataService(sandbox: sandbox, clock: ManualClock()).answer(to: Array(request.utf8)),
            as: UTF8.self)
    }

    @Test func `a sandbox learns who it is`() throws {
        let text = try answer("GET /v1/metadata HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains(#""template":"base""#))
        #expect(text.contains(#""id":"sb_"#))
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        #expect(text.contains("Content-Length: \(parts.last?.utf8.count ?? 0)\r\n"))
        #expect(try answer("HEAD /v1/metadata HTTP/1.1\r\n\r\n").hasSuffix("\r\n\r\n"))
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", "404"), ("POST /v1/metadata HTTP/1.1", "405"), ("GET /v1/metadata?x=1 HTTP/1.0", "200"),
        ("GET /v1/metadata", "400"), ("", "400"), ("\u{0}\u{1}", "400"), ("GET /v1/../v1/metadata HTTP/1.1", "404"),
    ])
    func `anything else is refused`(line: String, status: String) throws {
        #expect(try answer(line + "\r\n\r\n").hasPrefix("HTTP/1.1 \(status) "))
    }
}

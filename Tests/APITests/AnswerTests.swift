import HTTPKit
import HTTPTypes
import SandboxModel
import Testing

@testable import API

@Suite(.timeLimit(.minutes(5))) struct AnswerTests {
    @Test func `what needs no sandbox is answered`() async throws {
        try await APIHarness.with { harness in
            let cases = [
                ("/v1/health", "\"status\":\"ok\""), ("/v1/version", "\"api\":\"v1\""),
                ("/v1/openapi.yaml", "openapi: 3.1.0"),
                ("/v1/capabilities", "\"network\":[\"none\"]"), ("/v1/templates", "{\"items\":[]}"),
                ("/v1/sandboxes", "{\"items\":[]}"),
                ("/v1/sandboxes?label=a=b&label=c=d&state=running&limit=200", "{\"items\":[]}"),
                ("/v1/events", "{\"items\":[]}"),
            ]
            for (path, part) in cases {
                let answer = try await harness.call(.get, path)
                #expect(answer.status == 200, "\(path)")
                #expect(answer.body.contains(part), "\(path): \(answer.body.prefix(200))")
            }
        }
    }

    @Test(
        arguments: [
            ("bytes=0-9", 100, 0..<10), ("bytes=90-", 100, 90..<100), ("bytes=90-1000", 100, 90..<100),
            ("bytes=-10", 100, 90..<100),
            ("bytes=-1000", 100, 0..<100), ("BYTES=1-1", 100, 1..<2), ("bytes=0-9223372036854775807", 5, 0..<5),
        ] as [(String, Int64, Range<Int64>)])
    func `a range is cut to the file`(header: String, size: Int64, part: Range<Int64>) {
        #expect(ByteRange.parse(header)?.resolved(size: size) == part)
    }

    @Test(arguments: ["bytes=100-", "bytes=-0", "bytes=100-200"]) func `a range outside is none`(header: String) {
        #expect(ByteRange.parse(header) != nil)
        #expect(ByteRange.parse(header)?.resolved(size: 100) == nil)
    }

    @Test(arguments: [
        nil, "", "bytes", "bytes=", "bytes=-", "bytes=2-1", "bytes=0-1,3-4", "bytes=a-b", "items=0-1", "bytes=+1-2",
        "bytes=99999999999999999999-",
    ])
    func `another range header is ignored`(header: String?) {
        #expect(ByteRange.parse(header) == nil)
    }

    @Test func `a path that is not ASCII fits into a header`() {
        #expect(APIService.asciiJSON("{\"path\":\"/é😀\"}") == "{\"path\":\"/\\u00e9\\ud83d\\ude00\"}")
    }

    @Test func `modes are read and written as octal`() throws {
        #expect(try FileMode.parse("0644") == 0o644)
        #expect(try FileMode.parse("4755") == 0o4755)
        #expect(FileMode.text(0o100644) == "0644")
        #expect(FileMode.text(0o4755) == "4755")
        #expect(FileMode.text(0) == "0000")
        for bad in ["", "8", "+7", "10000", "000644"] { #expect(throws: SandboxError.self) { try FileMode.parse(bad) } }
    }
}

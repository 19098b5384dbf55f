import Foundation
import HTTPKit
import NIOCore
import SandboxModel
import Testing

private let key = "Authorization: Bearer nj_secret\r\n"
private let end = "Connection: close\r\n\r\n"

@Suite(.timeLimit(.minutes(5))) struct HTTPTests {
    @Test func `a public path needs no key, another one does`() async throws {
        try await withServer { server in
            let open = try await RawClient.exchange(server, "GET /public HTTP/1.1\r\nHost: x\r\n\(end)")
            #expect(open.hasPrefix("HTTP/1.1 200 OK"))
            #expect(open.lowercased().contains("\r\ndate: "))
            for wrong in [
                "", "Authorization: Bearer nj_secre\r\n", "Authorization: Basic nj_secret\r\n",
                "X-Api-Key: nj_secret\r\n",
            ] {
                let refused = try await RawClient.exchange(server, "GET /private HTTP/1.1\r\nHost: x\r\n\(wrong)\(end)")
                #expect(refused.hasPrefix("HTTP/1.1 401"))
                #expect(refused.contains("\"code\":\"unauthorized\""))
                #expect(refused.contains("WWW-Authenticate: Bearer"))
            }
            let allowed = try await RawClient.exchange(server, "GET /private HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(allowed.hasSuffix("tcp"))
        }
    }

    @Test func `a path that is not there is refused as unauthorized without a key`() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(server, "GET /nothing HTTP/1.1\r\nHost: x\r\n\(end)")
            #expect(text.hasPrefix("HTTP/1.1 401"))
        }
    }

    @Test func `the Unix socket needs no key`() async throws {
        try await withServer(listener: .unix) { server in
            let text = try await RawClient.exchange(server, "GET /private HTTP/1.1\r\nHost: x\r\n\(end)")
            #expect(text.hasSuffix("unix"))
        }
    }

    @Test func `unknown paths and methods are told apart`() async throws {
        try await withServer { server in
            let missing = try await RawClient.exchange(server, "GET /nothing HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(missing.hasPrefix("HTTP/1.1 404"))
            #expect(missing.contains("route_not_found"))
            let wrong = try await RawClient.exchange(server, "DELETE /echo HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(wrong.hasPrefix("HTTP/1.1 405"))
            #expect(wrong.contains("Allow: POST\r\n"))
            #expect(wrong.contains("method_not_allowed"))
        }
    }

    @Test func `a request id is taken over if it is visible ASCII, and made otherwise`() async throws {
        try await withServer { server in
            let own = try await RawClient.exchange(
                server, "GET /fail/no_space HTTP/1.1\r\nHost: x\r\n\(key)X-Request-ID: my-id\r\n\(end)")
            #expect(own.contains("X-Request-ID: my-id\r\n"))
            #expect(own.contains("\"request_id\":\"my-id\""))
            for bad in ["a b", String(repeating: "x", count: 129)] {
                let made = try await RawClient.exchange(
                    server, "GET /public HTTP/1.1\r\nHost: x\r\nX-Request-ID: \(bad)\r\n\(end)")
                #expect(made.contains("X-Request-ID: req_"))
            }
        }
    }

    @Test(arguments: SandboxError.Code.table) func `each error code becomes its status`(row: ErrorRow) async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(
                server, "GET /fail/\(row.code.rawValue) HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(text.hasPrefix("HTTP/1.1 \(row.httpStatus) "))
            #expect(text.contains("\"code\":\"\(row.code.rawValue)\""))
            #expect(text.contains("\"retryable\":\(row.retryable)"))
            #expect(text.contains("\"hint\":\"Do not ask.\""))
            #expect(text.contains("Retry-After: 1\r\n") == (row.httpStatus == 503 || row.httpStatus == 429))
        }
    }

    @Test func `an unexpected error tells nothing of its cause`() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(server, "GET /crash HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(text.hasPrefix("HTTP/1.1 500"))
            #expect(text.contains("internal_error"))
            #expect(!text.contains("alreadyClosed"))
        }
    }

    @Test func `JSON bodies are checked for type, size and form`() async throws {
        try await withServer { server in
            func post(_ headers: String, _ body: String) async throws -> String {
                try await RawClient.exchange(
                    server,
                    "POST /echo HTTP/1.1\r\nHost: x\r\n\(key)\(headers)Content-Length: \(body.utf8.count)\r\n\(end)\(body)"
                )
            }
            let large = #"{"text":""# + String(repeating: "x", count: 1 << 20) + #""}"#
            let cases = [
                ("", #"{"text":"hi"}"#, "200 OK"),
                ("Content-Type: application/json; charset=utf-8\r\n", #"{"text":"hi"}"#, "200 OK"),
                ("Content-Type: text/plain\r\n", #"{"text":"hi"}"#, "HTTP/1.1 415"),
                ("", #"{"text":"hi","more":1}"#, "unknown_field"),
                ("", #"{"text":"#, "invalid_json"),
                ("", large, "HTTP/1.1 413"),
            ]
            for (headers, body, part) in cases {
                let text = try await post(headers, body)
                #expect(text.contains(part), "\(body.prefix(40)): \(text)")
            }
        }
    }

    @Test func `a chunked body is bounded as well`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            try await client.send("PUT /upload HTTP/1.1\r\nHost: x\r\n\(key)Transfer-Encoding: chunked\r\n\r\n")
            let chunk = "10000\r\n" + String(repeating: "x", count: 65536) + "\r\n"
            for _ in 0..<17 { try? await client.send(chunk) }
            try await client.wait(for: "body_too_large")
            await client.close()
        }
    }

    @Test func `a connection serves many requests, and a small unread body does not end it`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            for index in 0..<3 {
                client.forget()
                try await client.send("POST /private HTTP/1.1\r\nHost: x\r\n\(key)Content-Length: 5\r\n\r\nhello")
                try await client.wait(for: "method_not_allowed")
                try await client.send("GET /public HTTP/1.1\r\nHost: x\r\nX-Request-ID: n\(index)\r\n\r\n")
                try await client.wait(for: "n\(index)")
            }
            await client.close()
        }
    }

    @Test func `an upload that is refused is not read to its end`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            try await client.send("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\nabc")
            let text = try await client.wait { $0.isClosed }
            #expect(text.hasPrefix("HTTP/1.1 401"))
            #expect(text.contains("Connection: close"))
            await client.close()
        }
    }

    @Test func `a client that expects it is told to go on`() async throws {
        try await withServer { server in
            let client = try await RawClient.connect(server)
            try await client.send(
                "PUT /upload HTTP/1.1\r\nHost: x\r\n\(key)Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("abc")
            let text = try await client.wait(for: "200 OK")
            #expect(text.hasSuffix("3") || text.hasSuffix("\r\n\r\n"))
            await client.close()
        }
    }

    @Test(arguments: [
        "NONSENSE\r\n\r\n", "GET /public HTTP/9.9\r\n\r\n", "GET /public HTTP/1.1\r\nbad header\r\n\r\n",
        "GET /public HTTP/1.1\r\nContent-Length: x\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
    func `what is not HTTP gets an answer and an end`(request: String) async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(server, request)
            #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 4"), "\(text)")
            #expect(!text.contains("HTTP/1.1 5"))
        }
    }

    @Test func `headers that are too large are refused`() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(
                server, "GET /public HTTP/1.1\r\nHost: x\r\nX-Long: \(String(repeating: "x", count: 100_000))\r\n\(end)"
            )
            #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 431"), "\(text.prefix(200))")
        }
    }

    @Test func `a peer that never finishes its first head is cut off`() async throws {
        var limits = ConnectionLimits()
        limits.firstHead = .milliseconds(100)
        try await withServer(limits: limits) { server in
            let client = try await RawClient.connect(server)
            try await client.send("GET /public HTTP/1.1\r\nHost: ")
            try await client.wait { $0.isClosed }
            await client.close()
        }
    }

    @Test func `a streamed answer ends properly, and a broken one by closing`() async throws {
        try await withServer { server in
            let whole = try await RawClient.exchange(server, "GET /stream HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(whole.contains("piece 0") && whole.hasSuffix("0\r\n\r\n"))
            let client = try await RawClient.connect(server)
            try await client.send("GET /broken-stream HTTP/1.1\r\nHost: x\r\n\(key)\r\n")
            let broken = try await client.wait { $0.isClosed }
            #expect(broken.hasSuffix("short"))
            await client.close()
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct EventStreamTests {
    @Test func `events have name, id and data on one line, with heartbeats between, and an error at the end`()
        async throws
    {
        try await withServer { server in
            let text = try await RawClient.exchange(server, "GET /events HTTP/1.1\r\nHost: x\r\n\(key)\(end)")
            #expect(text.contains("text/event-stream"))
            #expect(text.contains("event: first\nid: 7\ndata: {\"text\":\"a\\nb\"}\n\n"))
            #expect(text.components(separatedBy: ": \n\n").count > 2)
            #expect(text.contains("event: error\ndata: {\"error\":{\"code\":\"output_lost\""))
        }
    }

    @Test func `a client that goes away ends its producer`() async throws {
        try await withServer { server in
            let before = Cancellations.shared.total
            let client = try await RawClient.connect(server)
            try await client.send("GET /endless HTTP/1.1\r\nHost: x\r\n\(key)\r\n")
            try await client.wait(for: ": \n\n")
            await client.close()
            try await client.wait { _ in Cancellations.shared.total > before }
        }
    }
}

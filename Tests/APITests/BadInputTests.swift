import HTTPKit
import HTTPTypes
import SandboxModel
import Testing

/// Nothing that a client can send is answered with a 500: each mistake has a code of its own.
@Suite(.timeLimit(.minutes(5))) struct BadInputTests {
    static let long = String(repeating: "x", count: 200_000)
    static let sandbox = "/v1/sandboxes/absent"
    static let cases: [(HTTPRequest.Method, String, String?, Int, String)] = [
        // Creation
        (.post, "/v1/sandboxes", "", 400, "invalid_json"),
        (.post, "/v1/sandboxes", "{", 400, "invalid_json"),
        (.post, "/v1/sandboxes", "[]", 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"nam":"x"}"#, 400, "unknown_field"),
        (.post, "/v1/sandboxes", #"{"lifecycle":{"idle":1}}"#, 400, "unknown_field"),
        (.post, "/v1/sandboxes", #"{"name":7}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"name":"../etc"}"#, 400, "invalid_name"),
        (.post, "/v1/sandboxes", #"{"name":""}"#, 400, "invalid_name"),
        (.post, "/v1/sandboxes", #"{"name":"Ünï"}"#, 400, "invalid_name"),
        (.post, "/v1/sandboxes", #"{"template":"no/where"}"#, 400, "invalid_name"),
        (.post, "/v1/sandboxes", #"{"network":"host"}"#, 422, "unsupported"),
        (.post, "/v1/sandboxes", #"{"lifecycle":{"on_idle":"explode"}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"lifecycle":{"idle_timeout":0}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"lifecycle":{"idle_timeout":"15"}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"limits":{"memory_mib":1000.5}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"limits":{"cpus":-1}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"labels":{"a=b":"c"}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"env":{"A=B":"c"}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes", #"{"env":{"A":"\#(long)"}}"#, 400, "invalid_request"),
        (.post, "/v1/sandboxes?x=1", "{}", 400, "unknown_field"),
        // Lists
        (.get, "/v1/sandboxes?limit=0", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?limit=201", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?limit=x", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?limit=1&limit=2", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?cursor=nonsense", nil, 400, "invalid_cursor"),
        (.get, "/v1/sandboxes?cursor=", nil, 400, "invalid_cursor"),
        (.get, "/v1/sandboxes?state=tired", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?label=a", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?label=%ff=b", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes?label=%zz", nil, 400, "invalid_request"),
        (.get, "/v1/events?after=-1", nil, 400, "invalid_request"),
        (.get, "/v1/events?limit=1001", nil, 400, "invalid_request"),
        (.get, "/v1/events?follow=perhaps", nil, 400, "invalid_request"),
        // References
        (.get, "/v1/sandboxes/absent", nil, 404, "sandbox_not_found"),
        (.get, "/v1/sandboxes/sb_aaaaaaaaaaaaaaaaaaaa", nil, 404, "sandbox_not_found"),
        (.get, "/v1/sandboxes/sb_short", nil, 400, "invalid_name"),
        (.get, "/v1/sandboxes/%2e%2e", nil, 400, "invalid_name"),
        (.get, "/v1/sandboxes/%2F", nil, 400, "invalid_name"),
        (.get, "/v1/sandboxes/%00", nil, 400, "invalid_name"),
        (.get, "/v1/sandboxes/%", nil, 400, "invalid_request"),
        (.get, "/v1/sandboxes/\(String(repeating: "x", count: 64))", nil, 400, "invalid_name"),
        (.get, "/v1/templates/absent", nil, 404, "template_not_found"),
        (.get, "/v1/templates/A", nil, 400, "invalid_name"),
        (.delete, sandbox, nil, 404, "sandbox_not_found"),
        (.patch, sandbox, "{}", 404, "sandbox_not_found"),
        (.patch, sandbox, #"{"name":"x"}"#, 400, "unknown_field"),
        (.patch, sandbox, #"{"lifecycle":{"max_age":0}}"#, 400, "invalid_request"),
        (.post, sandbox + "/pause", nil, 404, "sandbox_not_found"),
        (.post, sandbox + "/resume", nil, 404, "sandbox_not_found"),
        (.post, sandbox + "/standby", nil, 404, "sandbox_not_found"),
        (.post, sandbox + "/stop", nil, 404, "sandbox_not_found"),
        (.get, sandbox + "/metrics", nil, 404, "sandbox_not_found"),
        // Processes
        (.post, sandbox + "/exec", #"{"command":["true"]}"#, 404, "sandbox_not_found"),
        (.post, sandbox + "/exec", "{}", 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":"true"}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":[]}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":[""]}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a\u0000b"]}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["\#(long)"]}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"directory":"relative"}"#, 400, "invalid_path"),
        (.post, sandbox + "/exec", #"{"command":["a"],"directory":"/a/../b"}"#, 400, "invalid_path"),
        (.post, sandbox + "/exec", #"{"command":["a"],"user":"a b"}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"timeout":0}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"stdin":"a","stdin_base64":"YQ=="}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"stdin_base64":"???"}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"max_output":99999999}"#, 400, "invalid_request"),
        (.post, sandbox + "/exec", #"{"command":["a"],"terminal":{"columns":80,"rows":24}}"#, 400, "invalid_request"),
        (
            .post, sandbox + "/exec", #"{"command":["a"],"limits":[{"resource":"x","soft":1,"hard":1}]}"#, 400,
            "invalid_request"
        ),
        (
            .post, sandbox + "/exec", #"{"command":["a"],"limits":[{"resource":"as","soft":2,"hard":1}]}"#, 400,
            "invalid_request"
        ),
        (.post, sandbox + "/processes", #"{"command":["a"],"stdin":"x"}"#, 400, "invalid_request"),
        (
            .post, sandbox + "/processes", #"{"command":["a"],"terminal":{"columns":0,"rows":24}}"#, 400,
            "invalid_request"
        ),
        (.get, sandbox + "/processes/0", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/x", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/99999999999", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/1", nil, 404, "sandbox_not_found"),
        (.get, sandbox + "/processes/1/wait?timeout=3601", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/1/wait?timeout=nan", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/1/output?offset=-1", nil, 400, "invalid_request"),
        (.get, sandbox + "/processes/1/output?follow=true", nil, 404, "sandbox_not_found"),
        (.post, sandbox + "/processes/1/signal", #"{"signal":0}"#, 400, "invalid_request"),
        (.post, sandbox + "/processes/1/signal", #"{"signal":65}"#, 400, "invalid_request"),
        (.post, sandbox + "/processes/1/signal", #"{"signal":"NOPE"}"#, 400, "invalid_request"),
        (.post, sandbox + "/processes/1/signal", #"{"signal":true}"#, 400, "invalid_request"),
        (.post, sandbox + "/processes/1/resize", #"{"columns":1001,"rows":1}"#, 400, "invalid_request"),
        (.get, sandbox + "/processes/1/attach", nil, 426, "upgrade_required"),
        (.get, sandbox + "/ports/80", nil, 426, "upgrade_required"),
        (.get, sandbox + "/ports/0", nil, 400, "invalid_request"),
        (.get, sandbox + "/ports/65536", nil, 400, "invalid_request"),
        // Files
        (.get, sandbox + "/files", nil, 400, "invalid_request"),
        (.get, sandbox + "/files?path=", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=etc/passwd", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/../etc/passwd", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/%2e%2e/etc", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/a/..", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/a%00b", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/a%zz", nil, 400, "invalid_request"),
        (.get, sandbox + "/files?path=\(String(repeating: "/a", count: 2100))", nil, 400, "invalid_path"),
        (.get, sandbox + "/files?path=/a&path=/b", nil, 400, "invalid_request"),
        (.get, sandbox + "/files?path=/..a/b..%FF", nil, 404, "sandbox_not_found"),
        (.put, sandbox + "/files?path=/a&mode=99", "x", 400, "invalid_request"),
        (.put, sandbox + "/files?path=/a&offset=-1", "x", 400, "invalid_request"),
        (.put, sandbox + "/files?path=/a&offset=1099511627777", "x", 400, "invalid_request"),
        (.put, sandbox + "/files?path=/a&user=", "x", 400, "invalid_request"),
        (.delete, sandbox + "/files?path=/a&recursive=maybe", nil, 400, "invalid_request"),
        (.get, sandbox + "/files/list?path=/&depth=65", nil, 400, "invalid_request"),
        (.get, sandbox + "/files/watch?path=/a/../b", nil, 400, "invalid_path"),
        (.post, sandbox + "/files/mkdir", #"{"path":"a"}"#, 400, "invalid_path"),
        (.post, sandbox + "/files/move", #"{"from":"/a","to":"/../b"}"#, 400, "invalid_path"),
        (.post, sandbox + "/files/move", #"{"from":"/a"}"#, 400, "invalid_request"),
        (.post, sandbox + "/files/chmod", #"{"path":"/a","mode":"888"}"#, 400, "invalid_request"),
        (.post, sandbox + "/files/chmod", #"{"path":"/a","mode":644}"#, 400, "invalid_request"),
        (.post, sandbox + "/files/chown", #"{"path":"/a","owner":""}"#, 400, "invalid_request"),
        (.post, sandbox + "/files/symlink", #"{"path":"/a","target":""}"#, 400, "invalid_path"),
        // Routes
        (.get, "/", nil, 404, "route_not_found"),
        (.get, "/v1", nil, 404, "route_not_found"),
        (.get, "/v2/sandboxes", nil, 404, "route_not_found"),
        (.put, "/v1/sandboxes", "{}", 405, "method_not_allowed"),
        (.get, sandbox + "/exec", nil, 405, "method_not_allowed"),
        (.post, sandbox, "{}", 405, "method_not_allowed"),
    ]

    @Test func `each mistake has its status and code`() async throws {
        try await APIHarness.with { harness in
            for (method, path, body, status, code) in Self.cases {
                let answer = try await harness.call(method, path, body)
                let what = "\(method) \(path.prefix(100)) \(body?.prefix(80) ?? ""): \(answer.body.prefix(300))"
                #expect(answer.status == status, "\(what)")
                #expect(answer.code == code, "\(what)")
                #expect(answer.headers.contains { $0.name.canonicalName == "x-request-id" && !$0.value.isEmpty })
            }
        }
    }

    @Test func `odd headers have their codes`() async throws {
        let key = try #require(HTTPField.Name("Idempotency-Key"))
        let last = try #require(HTTPField.Name("Last-Event-ID"))
        try await APIHarness.with { harness in
            for bad in ["", "two words", String(repeating: "x", count: 129)] {
                let answer = try await harness.call(.post, "/v1/sandboxes", "{}", headers: [key: bad])
                #expect(answer.code == "invalid_request", "\(bad)")
            }
            let events = try await harness.call(.get, "/v1/events?follow=true", headers: [last: "x"])
            #expect(events.code == "invalid_cursor")
            let xml = try await harness.call(.post, "/v1/sandboxes", "<x/>", headers: [.contentType: "application/xml"])
            #expect(xml.code == "unsupported_media_type")
        }
    }

    @Test func `only the public paths are open to TCP without a key`() async throws {
        try await APIHarness.with { harness in
            for route in harness.responder.routes {
                let parts = route.split(separator: " ")
                let method = try #require(HTTPRequest.Method(String(parts[0])))
                let answer = try await harness.call(method, String(parts[1]), listener: .tcp)
                let isPublic = ["/v1/health", "/v1/version", "/v1/openapi.yaml"].contains(String(parts[1]))
                #expect((answer.status == 401) == !isPublic, "\(route)")
            }
        }
    }

    private struct MadeUp: Sendable {
        var method: HTTPRequest.Method
        var path: String
        var body: String?
    }

    private static let pieces = [
        "", "/", "..", "%00", "%2e%2e", "\u{FF}", "💥", "-1", "0", "9999999999999999999999", "null", "true", "sb_",
        "a b", "'",
        "\"", "{}", "[]", "%ff%fe", "*", "?", "&", "=", "path=/", "path=/etc", "timeout=1e400", "offset=1", "depth=2",
    ]
    private static let bodies = [
        "", "{}", "[]", "null", "1", "\"x\"", #"{"command":[1]}"#, #"{"command":{"a":"b"}}"#, #"{"path":null}"#,
        #"{"signal":1.5}"#, #"{"from":[],"to":{}}"#, #"{"columns":1e9,"rows":-1}"#, String(repeating: "[", count: 5000),
    ]

    private static func madeUp(_ route: String, _ generator: inout SeededGenerator) -> MadeUp {
        let parts = route.split(separator: " ").map(String.init)
        var path = ""
        for component in parts[1].split(separator: "/") {
            let piece = pieces.randomElement(using: &generator) ?? ""
            path += "/" + (component.hasPrefix("{") ? piece : String(component))
        }
        if Bool.random(using: &generator) {
            let key = pieces.randomElement(using: &generator) ?? ""
            path += "?\(key)=\(pieces.randomElement(using: &generator) ?? "")"
        }
        let body = Bool.random(using: &generator) ? bodies.randomElement(using: &generator) : nil
        return MadeUp(method: HTTPRequest.Method(parts[0]) ?? .get, path: path, body: body)
    }

    @Test func `no made-up input gives a 500`() async throws {
        try await APIHarness.with { harness in
            var generator = SeededGenerator(state: 42)
            let requests = harness.responder.routes.flatMap { route in
                (0..<40).map { _ in Self.madeUp(route, &generator) }
            }
            var refused = 0
            for request in requests {
                let answer = try await harness.call(request.method, request.path, request.body)
                if answer.status == 400 { refused += 1 }
                let isExplained = answer.status < 400 || answer.code != nil || request.method == .head
                if answer.status >= 500 || !isExplained {
                    Issue.record("\(request): \(answer.status) \(answer.body)")
                }
            }
            #expect(refused > 100)
        }
    }
}

/// The same sequence in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

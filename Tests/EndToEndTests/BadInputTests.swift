import Client
import Foundation
import SandboxModel
import Testing

extension EndToEnd {
    /// Requests that are wrong, as a client that knows nothing would send them.
    @Suite struct BadInput {
        struct Case: Sendable {
            var what: String
            var method: String
            var path: String
            var body: String?
            var status: Int
            var code: String
        }

        static let cases: [Case] = [
            .init(what: "no JSON", method: "POST", path: "/v1/sandboxes", body: "{", status: 400, code: "invalid_json"),
            .init(
                what: "a list", method: "POST", path: "/v1/sandboxes", body: "[]", status: 400, code: "invalid_request"),
            .init(
                what: "an unknown field", method: "POST", path: "/v1/sandboxes", body: #"{"nmae":"x"}"#, status: 400,
                code: "unknown_field"),
            .init(
                what: "a wrong type", method: "POST", path: "/v1/sandboxes", body: #"{"name":7}"#, status: 400,
                code: "invalid_request"),
            .init(
                what: "a name with a slash", method: "POST", path: "/v1/sandboxes", body: #"{"name":"a/b"}"#,
                status: 400, code: "invalid_name"),
            .init(
                what: "an empty name", method: "POST", path: "/v1/sandboxes", body: #"{"name":""}"#, status: 400,
                code: "invalid_name"),
            .init(
                what: "a name that is too long", method: "POST", path: "/v1/sandboxes",
                body: "{\"name\":\"\(String(repeating: "a", count: 64))\"}", status: 400, code: "invalid_name"),
            .init(
                what: "a name that is taken", method: "POST", path: "/v1/sandboxes", body: #"{"name":"bad"}"#,
                status: 409, code: "name_taken"),
            .init(
                what: "a template that does not exist", method: "POST", path: "/v1/sandboxes",
                body: #"{"template":"none"}"#, status: 404, code: "template_not_found"),
            .init(
                what: "a template outside", method: "POST", path: "/v1/sandboxes", body: #"{"template":"../x"}"#,
                status: 400, code: "invalid_name"),
            .init(
                what: "a network", method: "POST", path: "/v1/sandboxes", body: #"{"network":"host"}"#, status: 422,
                code: "unsupported"),
            .init(
                what: "a timeout out of bounds", method: "POST", path: "/v1/sandboxes",
                body: #"{"lifecycle":{"idle_timeout":0}}"#, status: 400, code: "invalid_request"),
            .init(
                what: "too little memory", method: "POST", path: "/v1/sandboxes", body: #"{"limits":{"memory_mib":1}}"#,
                status: 400, code: "invalid_request"),
            .init(
                what: "an absent sandbox", method: "GET", path: "/v1/sandboxes/nobody", body: nil, status: 404,
                code: "sandbox_not_found"),
            .init(
                what: "an absent id", method: "DELETE", path: "/v1/sandboxes/sb_aaaaaaaaaaaaaaaaaaaa", body: nil,
                status: 404, code: "sandbox_not_found"),
            .init(
                what: "no such route", method: "GET", path: "/v1/nothing", body: nil, status: 404,
                code: "route_not_found"),
            .init(
                what: "a wrong method", method: "PUT", path: "/v1/sandboxes", body: "{}", status: 405,
                code: "method_not_allowed"),
            .init(
                what: "a wrong cursor", method: "GET", path: "/v1/sandboxes?cursor=x", body: nil, status: 400,
                code: "invalid_cursor"),
            .init(
                what: "a limit out of bounds", method: "GET", path: "/v1/sandboxes?limit=0", body: nil, status: 400,
                code: "invalid_request"),
            .init(
                what: "an unknown parameter", method: "GET", path: "/v1/sandboxes?nmae=x", body: nil, status: 400,
                code: "unknown_field"),
            .init(
                what: "an empty command", method: "POST", path: "/v1/sandboxes/bad/exec", body: #"{"command":[]}"#,
                status: 400, code: "invalid_request"),
            .init(
                what: "no command", method: "POST", path: "/v1/sandboxes/bad/exec", body: "{}", status: 400,
                code: "invalid_request"),
            .init(
                what: "a NUL in a command", method: "POST", path: "/v1/sandboxes/bad/exec",
                body: #"{"command":["a\u0000b"]}"#, status: 400, code: "invalid_request"),
            .init(
                what: "a terminal for exec", method: "POST", path: "/v1/sandboxes/bad/exec",
                body: #"{"command":["a"],"terminal":{"columns":1,"rows":1}}"#, status: 400, code: "invalid_request"),
            .init(
                what: "an absent process", method: "GET", path: "/v1/sandboxes/bad/processes/999", body: nil,
                status: 404, code: "process_not_found"),
            .init(
                what: "a process that is no number", method: "GET", path: "/v1/sandboxes/bad/processes/x", body: nil,
                status: 400, code: "invalid_request"),
            .init(
                what: "a signal out of bounds", method: "POST", path: "/v1/sandboxes/bad/processes/1/signal",
                body: #"{"signal":99}"#, status: 400, code: "invalid_request"),
            .init(
                what: "a relative path", method: "GET", path: "/v1/sandboxes/bad/files?path=etc/passwd", body: nil,
                status: 400, code: "invalid_path"),
            .init(
                what: "no path", method: "GET", path: "/v1/sandboxes/bad/files", body: nil, status: 400,
                code: "invalid_request"),
            .init(
                what: "a NUL in a path", method: "GET", path: "/v1/sandboxes/bad/files?path=/a%00b", body: nil,
                status: 400, code: "invalid_path"),
            .init(
                what: "an absent file", method: "GET", path: "/v1/sandboxes/bad/files?path=/none", body: nil,
                status: 404, code: "file_not_found"),
            .init(
                what: "a wrong mode", method: "PUT", path: "/v1/sandboxes/bad/files?path=/tmp/x&mode=9", body: "x",
                status: 400, code: "invalid_request"),
            .init(
                what: "an attach without upgrade", method: "GET", path: "/v1/sandboxes/bad/processes/1/attach",
                body: nil, status: 426, code: "upgrade_required"),
            .init(
                what: "a port out of bounds", method: "GET", path: "/v1/sandboxes/bad/ports/0", body: nil, status: 400,
                code: "invalid_request"),
        ]

        @Test func `wrong requests are refused, each with its status and code`() async throws {
            try await TestServer.with { server in
                _ = try await server.client.makeSandbox("bad")
                for item in Self.cases {
                    let (status, code) = try await send(item, server)
                    #expect(status == item.status && code == item.code, "\(item.what): \(status) \(code)")
                }
                #expect(try await server.client.sh("bad", "echo fine") == "fine", "none of it did any harm")
            }
        }

        @Test func `the path of a file cannot leave the sandbox`() async throws {
            try await TestServer.with { server in
                _ = try await server.client.makeSandbox("bad")
                let host = try String(contentsOfFile: "/etc/hostname", encoding: .utf8)
                try await server.client.sh("bad", "echo inside > /etc/hostname; ln -s ../../../../../../.. /tmp/up")
                for path in ["/../../../../../../etc/hostname", "/tmp/up/etc/hostname", "/proc/1/root/etc/hostname"] {
                    let bytes = (try? await server.client.contents("bad", SandboxPath(path))) ?? []
                    #expect(String(decoding: bytes, as: UTF8.self) != host)
                }
            }
        }

        @Test func `states that conflict are refused`() async throws {
            try await TestServer.with { server in
                let client = server.client
                _ = try await client.makeSandbox("bad")
                _ = try await client.stop("bad")
                #expect(await code { _ = try await client.pause("bad") } == .invalidState)
                #expect(await code { _ = try await client.standby("bad") } == .invalidState)
                #expect(try await client.stop("bad").state == .stopped, "doing it twice is no error")
            }
        }

        @Test func `TCP needs the key`() async throws {
            try await TestServer.with { server in
                // The line that names the address may come a little after the first answer.
                let address = try await eventually("the server tells its address") {
                    let log = try String(contentsOfFile: server.logPath, encoding: .utf8)
                    return log.firstMatch(of: /http:\/\/127\.0\.0\.1:[0-9]+/)?.0
                }
                let endpoint = try ClientConfiguration.parse(url: String(address))
                let stranger = NightjarClient(ClientConfiguration(endpoint: endpoint))
                #expect(await code { _ = try await stranger.allSandboxes() } == .unauthorized)
                #expect(try await stranger.health().status == "ok")
                let key = try String(contentsOfFile: server.dataDirectory + "/api-key", encoding: .utf8)
                let friend = NightjarClient(
                    ClientConfiguration(endpoint: endpoint, apiKey: key.trimmingCharacters(in: .whitespacesAndNewlines))
                )
                #expect(try await friend.allSandboxes().isEmpty)
                await stranger.close()
                await friend.close()
            }
        }

        @Test func `an idempotency key makes a repeated creation one, and refuses another body`() async throws {
            try await TestServer.with { server in
                let first = try await server.client.create(SandboxSpec(), idempotencyKey: "key")
                let second = try await server.client.create(SandboxSpec(), idempotencyKey: "key")
                #expect(first.id == second.id)
                let third = await code {
                    _ = try await server.client.create(SandboxSpec(labels: ["a": "b"]), idempotencyKey: "key")
                }
                #expect(third == .idempotencyConflict)
                #expect(try await server.client.allSandboxes().count == 1)
            }
        }

        private func send(_ item: Case, _ server: TestServer) async throws -> (Int, String) {
            var arguments = [
                "--silent", "--max-time", "20", "--unix-socket", "\(server.runDirectory)/nightjar.sock", "--path-as-is",
                "--write-out", "\n%{http_code}", "--request", item.method, "http://localhost\(item.path)",
            ]
            if let body = item.body {
                arguments += ["--header", "Content-Type: application/json", "--data-binary", body]
            }
            let result = try await ChildProgram.run(
                "/usr/bin/curl", arguments, variables: TestEnvironment.childVariables)
            let lines = result.text.split(separator: "\n")
            let error = lines.first.flatMap { try? JSONDecoder().decode(ErrorResource.self, from: Data($0.utf8)) }
            return (lines.last.flatMap { Int($0) } ?? 0, error?.error.code.rawValue ?? "none")
        }
    }
}

import HTTPKit
import HTTPTypes
import Hummingbird
import NIOCore
import SandboxModel
import Testing

@testable import Client

/// The client against a real HTTP server.
@Suite struct ClientTests {
    @Test func `an error of the server arrives as it is, with its request id`() async throws {
        try await withServer { router in
            router.get("/v1/sandboxes/{sandbox}") { _, _ -> Response in
                throw SandboxError(.sandboxNotFound, "There is no such sandbox.", hint: "look with ls")
            }
        } _: { client in
            do {
                _ = try await client.sandbox("nobody")
                Issue.record("no error was thrown")
            } catch let error as SandboxError {
                #expect((error.code, error.hint) == (.sandboxNotFound, "look with ls"))
                #expect(error.answer?.status == 404)
                #expect(error.answer?.requestID?.hasPrefix("req_") == true)
            }
        }
    }

    @Test func `an answer that no server of ours gives is told as one`() async throws {
        try await withServer { router in
            router.get("/v1/version") { _, _ in answer("<html>", status: .badGateway) }
            router.get("/v1/health") { _, _ in answer(#"{"status":1}"#) }
        } _: { client in
            await #expect(
                performing: { _ = try await client.version() },
                throws: {
                    ($0 as? SandboxError)?.answer?.status == 502
                })
            await #expect(
                performing: { _ = try await client.health() },
                throws: {
                    ($0 as? SandboxError)?.code == .internalError
                })
        }
    }

    @Test func `a server that is not ready yet is asked again`() async throws {
        let count = Count()
        try await withServer { router in
            router.get("/v1/version") { _, _ -> Response in
                if count.next() < 2 { throw SandboxError(.unavailable, "Starting.") }
                return answer(#"{"version":"1","api":"v1","wire_generation":1}"#)
            }
        } _: { client in
            let answer = try await client.version()
            #expect(answer.version == "1")
            #expect(count.now == 3)
        }
    }

    @Test func `without a server the error says unavailable`() async throws {
        let client = NightjarClient(ClientConfiguration(endpoint: .unixSocket(path: "/nowhere/nightjar.sock")))
        await #expect(
            performing: { _ = try await client.version() },
            throws: {
                ($0 as? SandboxError)?.code == .unavailable && ($0 as? SandboxError)?.hint != nil
            })
        await client.close()
    }

    @Test func `names and filters survive the way through the URL`() async throws {
        try await withServer { router in
            router.get("/v1/sandboxes") { request, _ in
                let query = try Query(
                    request, known: ["label", "state", "limit", "cursor"], repeatable: ["label", "state"])
                let (labels, states) = (try query.texts("label"), try query.texts("state"))
                #expect(labels == ["a&b=c d", "ü=%/"])
                #expect(states == ["running", "paused"])
                return answer(#"{"items":[]}"#)
            }
            router.get("/v1/templates/{template}") { _, context -> Response in
                throw SandboxError(.templateNotFound, context.parameters.get("template") ?? "")
            }
        } _: { client in
            let page = try await client.sandboxes(labels: ["a&b": "c d", "ü": "%/"], states: [.running, .paused])
            #expect(page.items.isEmpty)
            await #expect(
                performing: { _ = try await client.template("../secret") },
                throws: {
                    ($0 as? SandboxError)?.code == .templateNotFound
                })
        }
    }

    @Test func `many calls at once share connections and are all answered`() async throws {
        try await withServer { router in
            router.get("/v1/health") { _, _ in
                try await Task.sleep(for: .milliseconds(1))
                return answer(#"{"status":"ok","sandboxes":{},"prebooted":0}"#)
            }
        } _: { client in
            let answered = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<200 { group.addTask { try await client.health().status } }
                return try await group.reduce(into: 0) { count, status in count += status == "ok" ? 1 : 0 }
            }
            #expect(answered == 200)
        }
    }

    @Test(arguments: [
        ("unix:///run/x.sock", ClientConfiguration.Endpoint.unixSocket(path: "/run/x.sock")),
        ("http://example.org:81", .tcp(host: "example.org", port: 81)),
        ("http://[::1]:81", .tcp(host: "::1", port: 81)),
    ])
    func `the server is found by its URL`(url: String, endpoint: ClientConfiguration.Endpoint) throws {
        let found = try ClientConfiguration.discovered(environment: ["NIGHTJAR_URL": url, "NIGHTJAR_API_KEY": "k"])
        #expect(found.endpoint == endpoint)
        #expect(found.apiKey == "k")
    }

    @Test(arguments: ["ftp://x", "http://", "unix://relative", "nonsense", "http://x:port", "http://x:70000"])
    func `a URL that is none is refused`(url: String) {
        #expect(throws: SandboxError.self) { try ClientConfiguration.discovered(environment: ["NIGHTJAR_URL": url]) }
    }
}

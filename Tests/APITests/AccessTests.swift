import API
import Access
import Foundation
import HTTPTypes
import SandboxModel
import Testing

@testable import HTTPKit

/// Which key may call what, over the real routes.
@Suite struct RouteAccessTests {
    private static func headers(_ key: KeyResource) throws -> HTTPFields {
        [.authorization: "Bearer \(try #require(key.secret))"]
    }

    @Test func `every route has a rule, and every rule a route`() async throws {
        try await APIHarness.with { harness in
            let (routes, rules) = (Set(harness.responder.routes), Set(APIService.rules.keys))
            #expect(routes.subtracting(rules) == [], "add them to AccessTable.swift")
            #expect(rules.subtracting(routes) == [])
        }
    }

    @Test func `what changes something needs more than the scope to read`() {
        for (name, rule) in APIService.rules where !name.hasPrefix("GET ") && !name.hasPrefix("HEAD ") {
            #expect(rule.access == .needs(.write) || rule.access == .needs(.admin), "\(name)")
        }
        for name in ["processes/{process}/attach", "ports/{port}"] {
            #expect(APIService.rules["GET /v1/sandboxes/{sandbox}/\(name)"]?.access == .needs(.write))
        }
    }

    /// Calls every route with every scope; what a key may not do is refused before anything else is looked at.
    @Test func `each scope opens its routes and no others`() async throws {
        try await APIHarness.with { harness in
            for scope in AccessScope.allCases {
                let headers = try Self.headers(try await harness.access.create(KeyRequest(scopes: [scope])))
                for (name, rule) in APIService.rules {
                    let words = name.split(separator: " ").map(String.init)
                    let path = words[1].replacing(/{[a-z]+}/, with: "1")
                    guard !(path.hasSuffix("/events") || name == "POST /v1/keys") else { continue }
                    let method = try #require(HTTPRequest.Method(words[0]))
                    let answer = try await harness.call(method, path, headers: headers, listener: .tcp)
                    let allowed =
                        switch rule.access {
                        case .open: true
                        case .needs(let needed): scope.covered.contains(needed)
                        }
                    #expect((answer.code == "forbidden") == !allowed, "\(scope) \(name): \(answer.status)")
                    #expect((answer.status == 403) == !allowed, "\(scope) \(name)")
                }
            }
        }
    }

    @Test func `keys are made, listed and revoked over the interface`() async throws {
        try await APIHarness.with { harness in
            let made = try await harness.call(
                .post, "/v1/keys", #"{"scopes":["sandbox:read"],"label":"x","expires_in":60}"#)
            #expect(made.status == 201)
            let key = try JSONDecoder().decode(KeyResource.self, from: Data(made.body.utf8))
            let headers = try Self.headers(key)
            #expect(try await harness.call(.get, "/v1/sandboxes", headers: headers, listener: .tcp).status == 200)
            #expect(try await harness.call(.get, "/v1/keys", headers: headers, listener: .tcp).code == "forbidden")
            let listed = try await harness.call(.get, "/v1/keys").body
            #expect(listed.contains(key.id) && !listed.contains("secret"))
            #expect(try await harness.call(.delete, "/v1/keys/\(key.id)").status == 204)
            #expect(try await harness.call(.delete, "/v1/keys/\(key.id)").code == "key_not_found")
            #expect(try await harness.call(.get, "/v1/sandboxes", headers: headers, listener: .tcp).status == 401)
            #expect(try await harness.call(.delete, "/v1/keys/key_file").code == "invalid_state")
            for body in [#"{"scopes":["root"]}"#, #"{"scopes":[]}"#, #"{"scopes":["admin"],"more":1}"#, "{}"] {
                #expect(try await harness.call(.post, "/v1/keys", body).status == 400)
            }
        }
    }

    @Test func `who shows nothing gets into open routes only, and learns of no other`() async throws {
        try await APIHarness.with { harness in
            let health = try await harness.call(.get, "/v1/health", listener: .tcp)
            #expect(health.status == 200)
            for path in ["/v1/sandboxes", "/v1/nothing", "/metrics", "/v1/keys"] {
                let answer = try await harness.call(.get, path, listener: .tcp)
                #expect(answer.code == "unauthorized")
            }
        }
    }

    @Test func `every change is in the audit log, with who asked and how it ended`() async throws {
        try await APIHarness.with { harness in
            let key = try await harness.access.create(KeyRequest(scopes: [.write], label: "ci"))
            let headers = try Self.headers(key)
            _ = try await harness.call(.delete, "/v1/sandboxes/gone", headers: headers, listener: .tcp)
            _ = try await harness.call(.post, "/v1/sandboxes", "{", headers: headers, listener: .tcp)
            _ = try await harness.call(.get, "/v1/sandboxes", headers: headers, listener: .tcp)
            _ = try await harness.call(.post, "/v1/keys", "{}", headers: headers, listener: .tcp)
            let made = try await harness.call(.post, "/v1/keys", #"{"scopes":["sandbox:read"]}"#)
            let id = try JSONDecoder().decode(KeyResource.self, from: Data(made.body.utf8)).id
            var items: [AuditResource] = []
            let deadline = ContinuousClock.now + .seconds(20)
            repeat {
                let answer = try await harness.call(.get, "/v1/audit")
                items = try JSONDecoder().decode(Page<AuditResource>.self, from: Data(answer.body.utf8)).items
            } while !items.allSatisfy { $0.status != nil } && ContinuousClock.now < deadline
            // What only looks, and what was refused for want of a right, is not there.
            #expect(items.map(\.route) == ["/v1/keys", "/v1/sandboxes", "/v1/sandboxes/{sandbox}"])
            #expect(items.map(\.who) == ["local", key.id, key.id])
            #expect(items.map(\.label) == [nil, "ci", "ci"])
            #expect(items.map(\.target) == [id, nil, "gone"])
            #expect(items.map(\.status) == [201, 400, 404])
            #expect(items.map(\.code) == [nil, "invalid_json", "sandbox_not_found"])
            #expect(items.allSatisfy { $0.requestID.hasPrefix("req_") })
            let found = try await harness.call(.get, "/v1/audit?target=gone&limit=1")
            #expect(found.body.contains("sandbox_not_found"))
            #expect(try await harness.call(.get, "/v1/audit/verification").body.contains(#""intact":true"#))
            let denied = try await harness.call(.get, "/v1/audit", headers: headers, listener: .tcp)
            #expect(denied.code == "forbidden")
            #expect(try await harness.call(.get, "/v1/audit?cursor=x").code == "invalid_cursor")
        }
    }
}

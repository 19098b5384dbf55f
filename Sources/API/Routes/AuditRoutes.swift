internal import Access
internal import HTTPKit
internal import Hummingbird
internal import SandboxModel

extension APIService {
    func addAuditRoutes(to router: Router<APIContext>) {
        router.get("/v1/audit") { request, _ in
            let query = try Query(request, known: ["who", "target", "limit", "cursor"])
            let limit = Int(try query.integer("limit", in: 1...1000) ?? 100)
            return try Response.json(
                try await audit.page(
                    who: try query.text("who"), target: try query.text("target"), cursor: try query.text("cursor"),
                    limit: limit))
        }
        router.get("/v1/audit/verification") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(try await audit.verify())
        }
    }
}

internal import Access
internal import HTTPKit
internal import Hummingbird
internal import SandboxModel

extension APIService {
    func addKeyRoutes(to router: Router<APIContext>) {
        router.get("/v1/keys") { request, _ in
            _ = try Query(request, known: [])
            return try Response.json(Items(items: access.keys()))
        }
        router.post("/v1/keys") { request, context in
            _ = try Query(request, known: [])
            let wanted = try await context.json(KeyRequest.self, from: request)
            let key = try await access.create(wanted)
            context.note(made: key.id)
            return try Response.json(key, status: .created)
        }
        router.delete("/v1/keys/{key}") { request, context in
            _ = try Query(request, known: [])
            try await access.revoke(try context.parameter("key"))
            return Response.noContent
        }
    }
}

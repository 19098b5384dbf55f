internal import HTTPKit
internal import Hummingbird
internal import SandboxModel
internal import SandboxRuntime

extension APIService {
    func addUsageRoutes(to router: Router<APIContext>) {
        router.get("/v1/usage") { request, _ in
            let query = try Query(
                request, known: ["from", "to", "group_by", "bucket", "sandbox", "label", "limit", "cursor"],
                repeatable: ["label"])
            var question = UsageQuestion()
            question.from = try query.time("from")
            question.to = try query.time("to")
            question.groupBy = try query.text("group_by")
            question.bucket = try query.text("bucket")
            question.sandbox = try query.text("sandbox")
            if let sandbox = question.sandbox, SandboxID(sandbox) == nil {
                try SandboxSpec.check(name: sandbox, what: "sandbox's name")
            }
            question.labels = try query.labels()
            question.cursor = try query.cursor()
            question.limit = Int(try query.integer("limit", in: 1...1000) ?? 100)
            return try Response.json(try await runtime.usage(question))
        }
    }
}

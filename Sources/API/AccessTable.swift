public import HTTPKit
internal import SandboxModel

extension APIService {
    /// What each route demands. A route that is missing here answers nobody; a test compares this with the router.
    ///
    /// ``AccessScope/read`` is for what only looks. Some of these routes need the guest: with a key that may not write,
    /// they look at a sandbox that runs, and neither wake one nor keep it awake (see ``look(_:_:_:_:)``).
    public static let rules: [String: RouteRule] = {
        var rules: [String: RouteRule] = [:]
        // Whatever needs the right to write is recorded.
        func add(_ access: RouteAccess, _ names: [String], isAudited: Bool = false) {
            for name in names { rules[name] = RouteRule(access, isAudited: isAudited || access == .needs(.write)) }
        }
        add(.open, ["GET /v1/health", "GET /v1/version", "GET /v1/openapi.yaml"])
        add(.needs(.admin), ["GET /v1/keys", "GET /v1/audit", "GET /v1/audit/verification"])
        add(.needs(.admin), ["POST /v1/keys", "DELETE /v1/keys/{key}"], isAudited: true)
        add(
            .needs(.read),
            [
                "GET /metrics", "GET /v1/capabilities", "GET /v1/events", "GET /v1/node", "GET /v1/templates",
                "GET /v1/templates/{template}", "GET /v1/usage",
            ]
        )
        add(.needs(.read), ["GET /v1/sandboxes"])
        add(.needs(.write), ["POST /v1/sandboxes"])
        let sandbox = "/v1/sandboxes/{sandbox}"
        add(.needs(.read), ["", "/metrics"].map { "GET \(sandbox)\($0)" })
        add(.needs(.write), ["PATCH", "DELETE"].map { "\($0) \(sandbox)" })
        add(
            .needs(.write), ["pause", "resume", "standby", "stop", "exec", "processes"].map { "POST \(sandbox)/\($0)" })
        add(
            .needs(.read),
            ["", "/table", "/{process}", "/{process}/wait", "/{process}/output"].map { "GET \(sandbox)/processes\($0)" }
        )
        add(.needs(.write), ["signal", "stdin", "resize"].map { "POST \(sandbox)/processes/{process}/\($0)" })
        // Opened by GET, and still a way to write.
        add(.needs(.write), ["processes/{process}/attach", "ports/{port}"].map { "GET \(sandbox)/\($0)" })
        let files = sandbox + "/files"
        add(.needs(.read), ["GET \(files)", "HEAD \(files)"] + ["stat", "list", "watch"].map { "GET \(files)/\($0)" })
        add(.needs(.write), ["PUT \(files)", "DELETE \(files)"])
        add(.needs(.write), ["mkdir", "move", "chmod", "chown", "symlink"].map { "POST \(files)/\($0)" })
        return rules
    }()
}

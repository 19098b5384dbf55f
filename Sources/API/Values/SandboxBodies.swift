internal import SandboxModel

/// Body of `POST /v1/sandboxes`: every field may be absent.
struct CreateBody: Decodable {
    let spec: SandboxSpec

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, template, labels, env, lifecycle, limits, network, isolation
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        var spec = SandboxSpec()
        spec.name = try fields.decodeIfPresent(String.self, forKey: .name)
        spec.template = try fields.decodeIfPresent(String.self, forKey: .template) ?? spec.template
        spec.labels = try fields.decodeIfPresent([String: String].self, forKey: .labels) ?? [:]
        spec.environment = try fields.decodeIfPresent([String: String].self, forKey: .env) ?? [:]
        spec.lifecycle = try fields.decodeIfPresent(LifecycleBody.self, forKey: .lifecycle)?.policy ?? .init()
        spec.limits = try fields.decodeIfPresent(LimitsSpec.self, forKey: .limits) ?? .init()
        if let network = try fields.decodeIfPresent(String.self, forKey: .network) {
            guard let mode = NetworkMode(rawValue: network) else {
                throw SandboxError(
                    .unsupported, "The network mode '\(network)' is not supported.", hint: "only 'none' is, as yet")
            }
            spec.network = mode
        }
        if let isolation = try fields.decodeIfPresent(String.self, forKey: .isolation) {
            guard let choice = IsolationChoice(rawValue: isolation) else {
                let choices = IsolationChoice.allCases.map(\.rawValue).joined(separator: ", ")
                throw SandboxError(.invalidRequest, "isolation must be one of \(choices).")
            }
            spec.isolation = choice
        }
        self.spec = spec
    }
}

/// The action of a lifecycle, with an error that lists the choices.
func idleAction(_ text: String) throws(SandboxError) -> IdleAction {
    guard let action = IdleAction(rawValue: text) else {
        let choices = IdleAction.allCases.map(\.rawValue).joined(separator: ", ")
        throw SandboxError(.invalidRequest, "lifecycle.on_idle must be one of \(choices).")
    }
    return action
}

private struct LifecycleBody: Decodable {
    let policy: LifecyclePolicy

    enum CodingKeys: String, CodingKey, CaseIterable {
        case idleTimeout = "idle_timeout"
        case onIdle = "on_idle"
        case maxAge = "max_age"
        case autoResume = "auto_resume"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        var policy = LifecyclePolicy()
        policy.idleTimeout = try fields.decodeIfPresent(Double.self, forKey: .idleTimeout) ?? policy.idleTimeout
        if let action = try fields.decodeIfPresent(String.self, forKey: .onIdle) {
            policy.onIdle = try idleAction(action)
        }
        if fields.contains(.maxAge), try !fields.decodeNil(forKey: .maxAge) {
            policy.maxAge = try fields.decode(Double.self, forKey: .maxAge)
        }
        policy.autoResume = try fields.decodeIfPresent(Bool.self, forKey: .autoResume) ?? policy.autoResume
        self.policy = policy
    }
}

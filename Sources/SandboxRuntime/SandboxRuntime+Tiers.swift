internal import Isolation
internal import SandboxModel

// Which tier a sandbox gets.
extension SandboxRuntime {
    private static let microVM = IsolationChoice.microvm.rawValue
    private static let gVisor = IsolationChoice.gvisor.rawValue

    /// Tiers that a sandbox may get without asking for them: what they can do is found out early.
    var tiersByDefault: [String] {
        switch configuration.isolation {
        case .auto: [Self.gVisor, Self.microVM].filter { drivers[$0] != nil }
        case .gvisor, .microvm: [configuration.isolation.rawValue]
        }
    }

    /// What a specification asks for, what its template says where it asks for nothing, and what the server says where
    /// that says nothing.
    ///
    /// - Throws: ``SandboxError`` with `unsupported` if the template is not made for it, or it cannot run here.
    func tier(of spec: ValidatedSpec, _ template: TemplateResource) async throws -> String {
        let choice = spec.value.isolation ?? template.defaultIsolation ?? configuration.isolation
        let tier = choice == .auto ? await automaticTier(for: template) : choice.rawValue
        guard template.isolation.contains(tier) else {
            throw SandboxError(
                .unsupported, "The template \(template.name) is not made for the tier \(tier).",
                hint: "it is made for \(template.isolation.joined(separator: ", "))")
        }
        guard let capabilities = await capabilities(of: tier) else {
            throw SandboxError(.unsupported, "This server has no tier \(tier).", hint: "see `nightjar doctor`")
        }
        guard capabilities.run.available else {
            throw SandboxError(
                .unsupported, "The tier \(tier) cannot run here: \(capabilities.run.reason ?? "unknown reason").",
                hint: "see `nightjar doctor`")
        }
        return tier
    }

    /// A machine if the processor can run it. An emulated one is so much slower that only those get it who ask for it.
    private func automaticTier(for template: TemplateResource) async -> String {
        guard template.isolation.contains(Self.microVM) else { return Self.gVisor }
        guard template.isolation.contains(Self.gVisor) else { return Self.microVM }
        guard let machine = await capabilities(of: Self.microVM), machine.run.available,
            machine.acceleration?.available == true
        else { return Self.gVisor }
        return Self.microVM
    }
}

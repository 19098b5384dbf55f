internal import ArgumentParser
internal import Client
internal import Foundation
internal import SandboxModel

/// What shells offer when a word is completed: names that the server knows. Whatever goes wrong, nothing is offered.
enum NameCompletion {
    /// Ids and names of sandboxes.
    static var sandboxes: CompletionKind {
        .custom { _, _, prefix in
            let all = await ask { try await $0.allSandboxes() } ?? []
            return all.map { $0.name ?? $0.id.rawValue }.filter { $0.hasPrefix(prefix) }.sorted()
        }
    }

    /// Names of templates.
    static var templates: CompletionKind {
        .custom { _, _, prefix in
            let all = await ask { try await $0.templates() } ?? []
            return all.map(\.name).filter { $0.hasPrefix(prefix) }.sorted()
        }
    }

    /// A shell waits for the answer, so it comes soon or not at all. Options of the line are not known here: the server is
    /// that of the environment.
    private static func ask<R: Sendable>(_ question: @escaping @Sendable (NightjarClient) async throws -> R) async -> R?
    {
        guard var configuration = try? ClientConfiguration.discovered(environment: ProcessInfo.processInfo.environment)
        else { return nil }
        configuration.responseTimeout = .seconds(2)
        configuration.unavailablePatience = .zero
        let client = NightjarClient(configuration)
        let answer = try? await question(client)
        await client.close()
        return answer
    }
}

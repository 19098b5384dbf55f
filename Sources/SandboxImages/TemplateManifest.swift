internal import Foundation
internal import SandboxModel

/// `template.json`.
struct TemplateManifest: Codable, Hashable {
    var name: String
    var version: String
    var createdAt: Timestamp
    var description: String
    var defaultUser: String
    var workingDirectory: String
    var environment: [String: String]
    var sizeBytes: Int64
    var isolation: [String]
    /// Absent: the usual ones.
    var limits: LimitsSpec?
    /// Absent: what the server says.
    var defaultIsolation: IsolationChoice?

    enum CodingKeys: String, CodingKey {
        case name, version
        case createdAt = "created_at"
        case description
        case defaultUser = "default_user"
        case workingDirectory = "working_directory"
        case environment
        case sizeBytes = "size_bytes"
        case isolation, limits
        case defaultIsolation = "default_isolation"
    }

    init?(json: [UInt8]) {
        guard let value = try? JSONDecoder().decode(TemplateManifest.self, from: Data(json)),
            value.workingDirectory.hasPrefix("/"), value.sizeBytes >= 0, !value.defaultUser.isEmpty,
            (try? value.limits?.check()) != nil || value.limits == nil
        else { return nil }
        self = value
    }

    func resource(version: String) -> TemplateResource {
        TemplateResource(
            name: name, version: version, description: description, createdAt: createdAt, sizeBytes: sizeBytes,
            isolation: isolation, defaultUser: defaultUser, workingDirectory: workingDirectory,
            environment: environment, limits: limits ?? .init(), defaultIsolation: defaultIsolation)
    }
}

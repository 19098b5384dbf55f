public import SandboxModel
public import SandboxStorage

/// One version of a template.
public struct Template: Sendable, Hashable {
    public var resource: TemplateResource
    /// Absolute path of the read-only root file system, shared by all sandboxes of this version.
    public var rootfs: String
    public init(resource: TemplateResource, rootfs: String) {
        self.resource = resource
        self.rootfs = rootfs
    }
}

/// The templates of the data directory.
///
/// A template is a directory `templates/NAME` with `versions/VERSION/{template.json,rootfs/}` and a symbolic link
/// `current` to one of the versions. A build makes a new version and moves the link; a sandbox stays with the version
/// that it was created from.
public final class TemplateStore: Sendable {
    private let directory: DataDirectory

    public init(directory: DataDirectory) { self.directory = directory }

    /// The current version of every template that can be used, by name.
    public func all() async throws -> [Template] {
        let names = try await directory.templateNames()
        var templates: [Template] = []
        for name in names {
            if let template = try? await template(name) { templates.append(template) }
        }
        return templates
    }

    /// The current version of a template.
    ///
    /// - Throws: ``SandboxError`` with `template_not_found`, or `unavailable` if what is there is broken.
    public func template(_ name: String) async throws -> Template {
        try SandboxSpec.check(name: name, what: "template")
        guard let version = try await directory.currentTemplateVersion(name) else {
            throw SandboxError(
                .templateNotFound, "There is no template \(name).",
                hint: name == "base"
                    ? "build it with `make template`" : "list the templates with `nightjar template ls`")
        }
        return try await template(name, version: version)
    }

    /// A certain version of a template.
    ///
    /// - Throws: ``SandboxError`` with `template_not_found`, or `unavailable` if what is there is broken.
    public func template(_ name: String, version: String) async throws -> Template {
        try SandboxSpec.check(name: name, what: "template")
        guard Self.isVersion(version), let place = try await directory.templatePlace(name, version: version) else {
            throw SandboxError(
                .templateNotFound, "Version \(version) of the template \(name) is gone.",
                hint: "a version must stay as long as a sandbox uses it; restore its directory")
        }
        guard place.hasRootfs, let description = place.description, let manifest = TemplateManifest(json: description),
            manifest.name == name
        else {
            throw SandboxError(
                .unavailable, "The template \(name) is broken: its template.json or rootfs is missing or not valid.",
                hint: "build it again with `make template`")
        }
        return Template(resource: manifest.resource(version: version), rootfs: place.path + "/rootfs")
    }

    /// One path component, so that nothing outside of the template is reached.
    static func isVersion(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text != "." && text != ".." && !text.contains("/")
            && !text.utf8.contains(0)
    }
}

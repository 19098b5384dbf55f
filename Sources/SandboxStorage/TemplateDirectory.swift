internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// What lies at the place of a template's version.
public struct TemplatePlace: Sendable, Hashable {
    public var path: String
    public var hasRootfs: Bool
    /// The contents of `template.json`; `nil` if it is not there or larger than 1 MiB.
    public var description: [UInt8]?
}

extension DataDirectory {
    /// Names of the directories under `templates`, sorted.
    public func templateNames() async throws -> [String] {
        let parent = templatesPath
        return try await blocking { try Files.entries(parent).filter { !$0.hasPrefix(".") } }
    }

    /// The version that `current` points to; `nil` if there is none.
    public func currentTemplateVersion(_ name: String) async throws -> String? {
        let link = "\(templatesPath)/\(name)/current"
        return try await blocking {
            guard Files.exists(link), let target = try? Files.linkTarget(link) else { return nil }
            return target.split(separator: "/").last.map(String.init)
        }
    }

    /// The place of a version; `nil` if it is not there.
    public func templatePlace(_ name: String, version: String) async throws -> TemplatePlace? {
        let path = "\(templatesPath)/\(name)/versions/\(version)"
        return try await blocking {
            guard Files.exists(path) else { return nil }
            var description: [UInt8]?
            do {
                description = try Files.read(path + "/template.json", limit: 1 << 20)
            } catch let error as SystemError where error.isNotFound {
                description = nil
            } catch is SandboxError {
                // Too large to be one.
                description = nil
            }
            return TemplatePlace(
                path: path, hasRootfs: Files.exists(path + "/rootfs/."), description: description)
        }
    }
}

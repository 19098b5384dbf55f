public import SandboxModel
public import SandboxStorage

/// The templates of the data directory.
public final class TemplateStore: Sendable {
    public init(directory: DataDirectory) {}
}

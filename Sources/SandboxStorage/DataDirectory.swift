/// The server's data directory.
public final class DataDirectory: Sendable {
    init() {}
}

public import SandboxModel

#if canImport(Glibc)
internal import Glibc
#endif

/// Where the server is and how to talk to it.
public struct ClientConfiguration: Sendable, Hashable {
    /// How the server is reached.
    public enum Endpoint: Sendable, Hashable {
        case unixSocket(path: String)
        case tcp(host: String, port: Int)
    }

    public static let defaultSocketPath = "/run/nightjar/nightjar.sock"
    public static let defaultKeyPath = "/var/lib/nightjar/api-key"
    public static let defaultPort = 7575

    public var endpoint: Endpoint
    /// Sent as `Authorization: Bearer …`; the Unix socket needs none.
    public var apiKey: String?
    /// Bound of a connection attempt.
    public var connectTimeout: Duration = .seconds(10)
    /// Bound of the wait for the head of an answer. Calls that wait for something by their nature have their own.
    public var responseTimeout: Duration = .seconds(120)

    /// How long a server may be starting or overloaded until that is an error.
    public var unavailablePatience: Duration = .seconds(10)

    public init(endpoint: Endpoint, apiKey: String? = nil) {
        self.endpoint = endpoint
        self.apiKey = apiKey
    }

    /// Reads `NIGHTJAR_URL` and `NIGHTJAR_API_KEY`, or finds the server of this machine.
    ///
    /// Without `NIGHTJAR_URL`: the Unix socket if there is one, otherwise 127.0.0.1:7575. Without `NIGHTJAR_API_KEY`,
    /// a server on a loopback address gets the key of this machine's key file, if that is readable.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request` if the URL is not usable.
    public static func discovered(environment: [String: String]) throws(SandboxError) -> ClientConfiguration {
        let endpoint: Endpoint
        if let url = environment["NIGHTJAR_URL"], !url.isEmpty {
            endpoint = try parse(url: url)
        } else if access(defaultSocketPath, F_OK) == 0 {
            endpoint = .unixSocket(path: defaultSocketPath)
        } else {
            endpoint = .tcp(host: "127.0.0.1", port: defaultPort)
        }
        var configuration = ClientConfiguration(endpoint: endpoint)
        if let key = environment["NIGHTJAR_API_KEY"], !key.isEmpty {
            configuration.apiKey = key
        } else if case .tcp(let host, _) = endpoint, ["127.0.0.1", "localhost", "::1"].contains(host) {
            configuration.apiKey = key(at: defaultKeyPath)
        }
        return configuration
    }

    /// Reads `unix:///path`, `http://host` or `http://host:port`.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request`.
    public static func parse(url: String) throws(SandboxError) -> Endpoint {
        let invalid = SandboxError(
            .invalidRequest, "The server's address is not valid: \(url)",
            hint: "use unix:///path/of/socket or http://host:port")
        if url.hasPrefix("unix://") {
            let path = String(url.dropFirst("unix://".count))
            guard path.hasPrefix("/"), path.utf8.count < 108 else { throw invalid }
            return .unixSocket(path: path)
        }
        guard url.hasPrefix("http://") else { throw invalid }
        var rest = url.dropFirst("http://".count)
        while rest.hasSuffix("/") { rest.removeLast() }
        guard !rest.isEmpty, !rest.contains("/"), !rest.contains("@") else { throw invalid }
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { throw invalid }
            let host = String(rest[rest.index(after: rest.startIndex)..<end])
            return .tcp(host: host, port: try port(rest[rest.index(after: end)...], else: invalid))
        }
        guard let colon = rest.firstIndex(of: ":") else { return .tcp(host: String(rest), port: 80) }
        return .tcp(host: String(rest[..<colon]), port: try port(rest[colon...], else: invalid))
    }

    private static func port(_ text: Substring, else invalid: SandboxError) throws(SandboxError) -> Int {
        if text.isEmpty { return 80 }
        guard text.first == ":", let port = Int(text.dropFirst()), (1...65535).contains(port) else { throw invalid }
        return port
    }

    private static func key(at path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let text = bytes[..<count].prefix { $0 > 0x20 && $0 < 0x7F }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
}

extension ClientConfiguration.Endpoint: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unixSocket(let path): "unix://\(path)"
        case .tcp(let host, let port): host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)"
        }
    }

    /// The `Host` header.
    var authority: String {
        switch self {
        case .unixSocket: "localhost"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

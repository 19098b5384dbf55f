/// A file inside a sandbox.
public struct FileResource: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable {
        case file, directory, symlink, other
    }
    /// Absolute; in a listing and in watch events relative to the directory asked for. Bytes that are not UTF-8 are
    /// replaced, and then `path_base64` has the exact ones.
    public var path: String
    public var pathBase64: String?
    public var kind: Kind
    public var size: Int64
    /// Octal, for example `0644`.
    public var mode: String
    public var uid: UInt32
    public var gid: UInt32
    public var modifiedAt: Timestamp
    public var target: String?
    public init(
        path: String, pathBase64: String?, kind: Kind, size: Int64, mode: String, uid: UInt32, gid: UInt32,
        modifiedAt: Timestamp, target: String?
    ) {
        self.path = path
        self.pathBase64 = pathBase64
        self.kind = kind
        self.size = size
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modifiedAt = modifiedAt
        self.target = target
    }
    enum CodingKeys: String, CodingKey {
        case path
        case pathBase64 = "path_base64"
        case kind, size, mode, uid, gid
        case modifiedAt = "modified_at"
        case target
    }
}

/// One event of a watch, as an SSE `data:` line of `GET …/files/watch`.
public struct WatchEventResource: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable {
        case created, modified, removed, renamed, attributes, overflow
    }
    public var kind: Kind
    public var path: String
    public var from: String?
    public init(kind: Kind, path: String, from: String?) {
        self.kind = kind
        self.path = path
        self.from = from
    }
}

/// Something that happened to a sandbox. `sequence` is the cursor to resume from.
public struct EventResource: Sendable, Hashable, Codable {
    public var sequence: Int64
    public var at: Timestamp
    public var sandbox: SandboxID
    public var name: String?
    /// `sandbox.created`, `sandbox.running`, `sandbox.paused`, `sandbox.standby`, `sandbox.resuming`,
    /// `sandbox.stopped`, `sandbox.failed`, `sandbox.deleted`, `sandbox.standby_postponed`, `sandbox.memory_lost`,
    /// `sandbox.limit_reached`, `sandbox.process_ended` …
    public var type: String
    public var detail: [String: String]
    public init(
        sequence: Int64, at: Timestamp, sandbox: SandboxID, name: String?, type: String, detail: [String: String]
    ) {
        self.sequence = sequence
        self.at = at
        self.sandbox = sandbox
        self.name = name
        self.type = type
        self.detail = detail
    }
}

public struct TemplateResource: Sendable, Hashable, Codable {
    public var name: String
    public var version: String
    public var description: String
    public var createdAt: Timestamp
    public var sizeBytes: Int64
    public var isolation: [String]
    public var defaultUser: String
    public var workingDirectory: String
    public var environment: [String: String]
    /// What a sandbox gets that asks for nothing else.
    public var limits: LimitsSpec
    /// The same for the tier; `nil`: what the server says.
    public var defaultIsolation: IsolationChoice?
    public init(
        name: String, version: String, description: String, createdAt: Timestamp, sizeBytes: Int64, isolation: [String],
        defaultUser: String, workingDirectory: String, environment: [String: String], limits: LimitsSpec = .init(),
        defaultIsolation: IsolationChoice? = nil
    ) {
        self.defaultIsolation = defaultIsolation
        self.limits = limits
        self.name = name
        self.version = version
        self.description = description
        self.createdAt = createdAt
        self.sizeBytes = sizeBytes
        self.isolation = isolation
        self.defaultUser = defaultUser
        self.workingDirectory = workingDirectory
        self.environment = environment
    }
    enum CodingKeys: String, CodingKey {
        case name, version, description
        case createdAt = "created_at"
        case sizeBytes = "size_bytes"
        case isolation
        case defaultUser = "default_user"
        case workingDirectory = "working_directory"
        case environment, limits
        case defaultIsolation = "default_isolation"
    }
}

public struct CapabilitiesResource: Sendable, Hashable, Codable {
    public struct Tier: Sendable, Hashable, Codable {
        public struct Ability: Sendable, Hashable, Codable {
            public var available: Bool
            public var reason: String?
            public init(available: Bool, reason: String?) {
                self.available = available
                self.reason = reason
            }
        }
        public var name: String
        public var version: String
        public var run: Ability
        public var pause: Ability
        public var standby: Ability
        /// Whether the processor runs the machine, not an emulator; `nil`: the tier needs no such thing.
        public var acceleration: Ability?
        public var limits: Ability
        public init(
            name: String, version: String, run: Ability, pause: Ability, standby: Ability, limits: Ability,
            acceleration: Ability? = nil
        ) {
            self.acceleration = acceleration
            self.name = name
            self.version = version
            self.run = run
            self.pause = pause
            self.standby = standby
            self.limits = limits
        }
    }
    public var isolation: [Tier]
    public var network: [String]
    public init(isolation: [Tier], network: [String]) {
        self.isolation = isolation
        self.network = network
    }
}

/// `GET /v1/health`.
public struct HealthResource: Sendable, Hashable, Codable {
    /// `ok`, or `starting` while the server reconciles its records with the machine.
    public var status: String
    public var sandboxes: [String: Int]
    /// Sandboxes that were booted ahead and wait for a creation; they are not among ``sandboxes``.
    public var prebooted: Int
    public init(status: String, sandboxes: [String: Int], prebooted: Int) {
        self.status = status
        self.sandboxes = sandboxes
        self.prebooted = prebooted
    }
}

/// `GET /v1/version`.
public struct VersionResource: Sendable, Hashable, Codable {
    public var version: String
    public var api: String
    /// The host-guest protocol's generation.
    public var wireGeneration: Int
    public init(version: String, api: String, wireGeneration: Int) {
        self.version = version
        self.api = api
        self.wireGeneration = wireGeneration
    }
    enum CodingKeys: String, CodingKey {
        case version, api
        case wireGeneration = "wire_generation"
    }
}

/// Body of every answer that is an error.
public struct ErrorResource: Sendable, Hashable, Codable {
    public struct Body: Sendable, Hashable, Codable {
        public var code: SandboxError.Code
        public var message: String
        public var hint: String?
        public var retryable: Bool
        public var requestID: String
        public init(code: SandboxError.Code, message: String, hint: String?, retryable: Bool, requestID: String) {
            self.code = code
            self.message = message
            self.hint = hint
            self.retryable = retryable
            self.requestID = requestID
        }
        enum CodingKeys: String, CodingKey {
            case code, message, hint, retryable
            case requestID = "request_id"
        }
    }
    public var error: Body
    public init(error: Body) { self.error = error }
}

/// The version of Nightjar that this source is.
public enum NightjarVersion {
    public static let current = "0.1.0"
    public static let api = "v1"
}

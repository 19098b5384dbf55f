internal import Foundation
internal import LinuxSystem
public import SandboxModel

/// What a checkpoint on disk says of itself, in `manifest.json`. An older reader refuses a newer format.
public struct CheckpointManifest: Sendable, Hashable, Codable {
    public struct File: Sendable, Hashable, Codable {
        public var name: String
        public var size: Int64
        /// XXH64 over samples; see `sampledHash`.
        public var hash: String
        public init(name: String, size: Int64, hash: String) {
            self.name = name
            self.size = size
            self.hash = hash
        }
    }
    public static let magic = "nightjar-checkpoint"
    public static let format = 1

    public var magic = Self.magic
    public var format = Self.format
    public var sandbox: SandboxID
    /// The execution whose memory it is.
    public var execution: ExecutionID
    /// Equal to the store's, or it is not the newest.
    public var generation: Int
    public var tier: String
    /// Version of the isolation software that wrote it.
    public var driverVersion: String
    public var templateVersion: String
    public var initLayer: String
    public var createdAt: Timestamp
    public var files: [File] = []

    public init(
        sandbox: SandboxID, execution: ExecutionID, generation: Int, tier: String, driverVersion: String,
        templateVersion: String, initLayer: String, createdAt: Timestamp
    ) {
        self.sandbox = sandbox
        self.execution = execution
        self.generation = generation
        self.tier = tier
        self.driverVersion = driverVersion
        self.templateVersion = templateVersion
        self.initLayer = initLayer
        self.createdAt = createdAt
    }

    /// Bytes of all files.
    public var bytes: Int64 { files.reduce(0) { $0 + $1.size } }

    enum CodingKeys: String, CodingKey {
        case magic, format, sandbox, execution, generation, tier
        case driverVersion = "driver_version"
        case templateVersion = "template_version"
        case initLayer = "init_layer"
        case createdAt = "created_at"
        case files
    }
}

/// Why a checkpoint can never be restored. Whoever gets this error may give the memory up; every other error may pass.
public struct UnusableCheckpoint: Error, Sendable, CustomStringConvertible {
    public var reason: String
    public init(reason: String) { self.reason = reason }
    public var description: String { reason }
}

extension DataDirectory {
    /// Makes the empty directory that a checkpoint is written to.
    public func beginCheckpoint(of id: SandboxID, generation: Int) async throws -> String {
        let paths = paths(of: id)
        let place = paths.newCheckpoint(generation)
        try await blocking { [self] in
            try moveToTrash(place)
            try Files.makeDirectory(paths.checkpoints, mode: 0o700)
            try Files.makeDirectory(place, mode: 0o700)
        }
        return place
    }

    /// Makes a written checkpoint, and the files that it belongs to, durable, and puts it in its place.
    ///
    /// The sandbox is paused while this runs, so files and memory are of the same moment. When it returns, both survive
    /// a power failure.
    ///
    /// - Returns: The manifest as written, with its files.
    public func commitCheckpoint(_ manifest: CheckpointManifest) async throws -> CheckpointManifest {
        let paths = paths(of: manifest.sandbox)
        return try await blocking { [self] in
            let fresh = paths.newCheckpoint(manifest.generation)
            let place = paths.checkpoint(manifest.generation)
            var manifest = manifest
            manifest.files = try Files.entries(fresh).map { name in
                let size = try Files.size("\(fresh)/\(name)")
                return .init(name: name, size: size, hash: try sampledHash(of: "\(fresh)/\(name)", size: size))
            }
            guard !manifest.files.isEmpty else {
                throw SandboxError(.driverFailed, "The checkpoint is empty.")
            }
            for file in manifest.files { try DurableFile.sync("\(fresh)/\(file.name)") }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try DurableFile.replace(fresh + "/manifest.json", with: Array(try encoder.encode(manifest)))
            try ChangedFiles.sync(paths.upper, mark: paths.syncMark)
            try moveToTrash(place)
            try DurableFile.move(fresh, to: place)
            try DurableFile.sync(paths.root)
            return manifest
        }
    }

    /// Reads and checks the checkpoint in its place.
    ///
    /// - Parameter generation: What the store says.
    /// - Throws: ``UnusableCheckpoint`` if it is missing, incomplete, altered, of another sandbox or of another
    ///   generation; ``SandboxError`` with `unsupported` if it has a newer format, other codes for what may pass.
    public func validateCheckpoint(of id: SandboxID, generation: Int) async throws -> CheckpointManifest {
        let place = paths(of: id).checkpoint(generation)
        return try await blocking {
            guard Files.exists(place + "/manifest.json") else { throw UnusableCheckpoint(reason: "it is not there") }
            let bytes = try Files.read(place + "/manifest.json", limit: 1 << 20)
            guard let head = try? JSONDecoder().decode(CheckpointHead.self, from: Data(bytes)),
                head.magic == CheckpointManifest.magic
            else { throw UnusableCheckpoint(reason: "its manifest cannot be read") }
            guard head.format <= CheckpointManifest.format else {
                throw SandboxError(
                    .unsupported, "The memory was written by a newer version of Nightjar.",
                    hint: "wake it with that version")
            }
            guard let manifest = try? JSONDecoder().decode(CheckpointManifest.self, from: Data(bytes)) else {
                throw UnusableCheckpoint(reason: "its manifest cannot be read")
            }
            guard manifest.sandbox == id, manifest.generation == generation else {
                throw UnusableCheckpoint(reason: "it is not the newest memory of this sandbox")
            }
            for file in manifest.files {
                guard !file.name.contains("/"), let size = try? Files.size("\(place)/\(file.name)") else {
                    throw UnusableCheckpoint(reason: "\(file.name) is missing")
                }
                guard size == file.size else {
                    throw UnusableCheckpoint(reason: "\(file.name) has \(size) bytes instead of \(file.size)")
                }
                guard try sampledHash(of: "\(place)/\(file.name)", size: size) == file.hash else {
                    throw UnusableCheckpoint(reason: "\(file.name) was altered")
                }
            }
            return manifest
        }
    }

    /// Takes checkpoints up to a generation out of their places, finished or half written; ``sweepTrash()`` removes
    /// them. A newer one stays, so this may run late.
    public func discardCheckpoints(of id: SandboxID, through generation: Int) async throws {
        let parent = paths(of: id).checkpoints
        try await blocking { [self] in
            guard Files.exists(parent) else { return }
            for name in try Files.entries(parent) {
                guard let number = name.split(separator: ".").first.flatMap({ Int($0) }), number > generation else {
                    try moveToTrash("\(parent)/\(name)")
                    continue
                }
            }
        }
    }
}

/// What is read first, to tell a newer format from a broken file.
private struct CheckpointHead: Decodable {
    var magic: String
    var format: Int
}

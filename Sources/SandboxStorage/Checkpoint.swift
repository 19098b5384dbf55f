internal import Faults
internal import Foundation
internal import LinuxSystem
public import SandboxModel

/// What a checkpoint on disk says of itself, in `manifest.json`. An older reader refuses a newer format.
public struct CheckpointManifest: Sendable, Hashable, Codable {
    public struct File: Sendable, Hashable, Codable {
        public var name: String
        public var size: Int64
        /// ``LinuxSystem/Checksum/ofFile(_:)``; in format 1 over samples, see `sampledHash`.
        public var hash: String
        public init(name: String, size: Int64, hash: String) {
            self.name = name
            self.size = size
            self.hash = hash
        }
    }
    public static let magic = "nightjar-checkpoint"
    public static let format = 2

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
    /// Of the manifest itself, with this left empty; absent in format 1.
    public var checksum: String?

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

    /// With its own checksum.
    func sealed() -> Self {
        var bare = self
        bare.checksum = nil
        var sealed = self
        sealed.checksum = (try? bare.encoded()).map { Checksum.text(Checksum.of($0)) }
        return sealed
    }

    /// The same bytes for the same values.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return Array(try encoder.encode(self))
    }

    enum CodingKeys: String, CodingKey {
        case magic, format, sandbox, execution, generation, tier
        case driverVersion = "driver_version"
        case templateVersion = "template_version"
        case initLayer = "init_layer"
        case createdAt = "created_at"
        case files, checksum
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
            try Step.imageBegun.reached()
        }
        return place
    }

    /// Makes a written checkpoint, and the files that it belongs to, durable, and puts it in its place.
    ///
    /// The sandbox is paused while this runs, so files and memory are of the same moment. When it returns, both survive
    /// a power failure.
    ///
    /// - Parameters:
    ///   - checksums: Of files of the image, by name, as far as they are known; the others are read.
    ///   - syncFiles: Makes the files of an image durable, which only the driver reaches.
    /// - Returns: The manifest as written, with its files.
    public func commitCheckpoint(
        _ manifest: CheckpointManifest, checksums: [String: UInt64] = [:],
        syncFiles: @escaping @Sendable () async throws -> Void
    ) async throws -> CheckpointManifest {
        let paths = paths(of: manifest.sandbox)
        let fresh = paths.newCheckpoint(manifest.generation)
        async let filesSynced: Void = self.syncFiles(of: paths, mounted: syncFiles)
        // The device and the processor work at the same time.
        async let imageSynced: Void = syncImage(fresh)
        let files = try await described(fresh, checksums)
        try Step.imageHashed.reached()
        try await imageSynced
        try Step.imageSynced.reached()
        try await filesSynced
        try Step.imageFilesSynced.reached()
        guard !files.isEmpty else { throw SandboxError(.driverFailed, "The checkpoint is empty.") }
        var complete = manifest
        complete.files = files
        let sealed = complete.sealed()
        let text = try sealed.encoded()
        try await blocking { [self] in
            let place = paths.checkpoint(sealed.generation)
            try DurableFile.replace(fresh + "/manifest.json", with: text)
            try Step.imageManifestWritten.reached()
            try moveToTrash(place)
            try DurableFile.move(fresh, to: place)
            try Step.imagePlaced.reached()
            try DurableFile.sync(paths.root)
        }
        return sealed
    }

    /// All at once: they share one commit of the file system's journal.
    private func syncImage(_ directory: String) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in try await blocking({ try Files.entries(directory) }) {
                group.addTask { try await blocking { try DurableFile.sync("\(directory)/\(name)") } }
            }
            try await group.waitForAll()
        }
    }

    private func described(
        _ directory: String, _ known: [String: UInt64]
    ) async throws -> [CheckpointManifest.File] {
        var files: [CheckpointManifest.File] = []
        for name in try await blocking({ try Files.entries(directory) }) {
            let path = "\(directory)/\(name)"
            let size = try await blocking { try Files.size(path) }
            let hash = if let known = known[name] { known } else { try await checksum(of: path) }
            files.append(.init(name: name, size: size, hash: Checksum.text(hash)))
        }
        return files
    }

    /// Reads and checks the manifest of the checkpoint in its place, and looks whether its files are there in their sizes.
    /// What is in them is a matter for ``verifyCheckpoint(_:)``.
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
            guard manifest.format < 2 || manifest.checksum == manifest.sealed().checksum else {
                throw UnusableCheckpoint(reason: "its manifest was altered")
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
            }
            return manifest
        }
    }

    /// Reads every byte of a checkpoint's files, and compares them with its manifest.
    ///
    /// - Throws: ``UnusableCheckpoint`` if one was altered, ``SandboxError`` if it could not be read.
    public func verifyCheckpoint(_ manifest: CheckpointManifest) async throws {
        let place = paths(of: manifest.sandbox).checkpoint(manifest.generation)
        for file in manifest.files {
            let path = "\(place)/\(file.name)"
            let hash =
                manifest.format < 2
                ? try await blocking { try sampledHash(of: path, size: file.size) }
                : Checksum.text(try await checksum(of: path))
            guard hash == file.hash else { throw UnusableCheckpoint(reason: "\(file.name) was altered") }
        }
    }

    private func checksum(of path: String) async throws -> UInt64 {
        do {
            return try await Checksum.ofFile(path)
        } catch let error as SystemError {
            throw error.sandboxError(.storeFailed, "The data directory failed: \(error.operation).")
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
                    try Step.imageTrashed.reached()
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

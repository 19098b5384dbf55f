internal import Faults
internal import LinuxSystem
public import SandboxModel
internal import Synchronization

/// The server's data directory: what is where, and who may use it.
///
/// ```
/// lock                       held by the one server that uses the directory
/// nightjar.sqlite, api-key   the store's and the API's
/// templates/NAME/current     → versions/HASH/{template.json,rootfs/}
/// guest/HASH/.nightjar/init  layer with the init binary, named by its content, never modified
/// layers/ext4-V-MIB          empty disks, of which new ones are copied
/// sandboxes/ID/disk.img      writable layer of a sandbox
/// sandboxes/ID/upper, work   the same where its size is not bounded
/// sandboxes/ID/synced        marks when those were last synced to the device
/// sandboxes/ID/checkpoint/N/ its memory while it sleeps, with manifest.json
/// trash/                     what is being removed
/// ```
/// Directories that lead to a sandbox's files have mode 0700. All functions run their file work on threads of their
/// own. Functions for one sandbox are called one at a time (the runtime's state machine sees to it).
///
/// ### Errors
/// Every function throws ``SandboxError``: `no_space` if the device is full, `store_failed` otherwise.
public final class DataDirectory: Sendable {
    /// Absolute, without a slash at the end.
    public let path: String
    private let lock: DirectoryLock
    private let sweeping = Mutex(false)

    /// Opens the directory, making what is missing, and locks it against every other server.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` if another server uses it.
    public init(path: String) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard path.hasPrefix("/"), path != "/" else {
            throw SandboxError(.invalidPath, "The data directory must be an absolute path.")
        }
        self.path = path
        do {
            try Files.makeDirectories(path, mode: 0o700)
            guard let lock = try DirectoryLock(path) else {
                throw SandboxError(
                    .unavailable, "Another server uses the data directory \(path).",
                    hint: "stop it, or give this one another data directory")
            }
            self.lock = lock
            for name in ["sandboxes", "templates", "guest", "layers", "trash"] {
                try Files.makeDirectory("\(path)/\(name)", mode: 0o700)
            }
            try layers.removeUnfinished()
        } catch let error as SystemError {
            throw error.sandboxError(.storeFailed, "The data directory \(path) cannot be used.")
        }
    }

    public var databasePath: String { path + "/nightjar.sqlite" }
    public var apiKeyPath: String { path + "/api-key" }
    public var templatesPath: String { path + "/templates" }

    /// The places of one sandbox.
    public func paths(of id: SandboxID) -> SandboxPaths { SandboxPaths(root: "\(path)/sandboxes/\(id)") }

    /// Bytes that may still be written.
    public func freeSpace() async throws -> Int64 {
        let path = path
        return try await blocking { Int64(clamping: try DiskSpace.free(path)) }
    }

    private var layers: LayerImage { LayerImage(prototypes: path + "/layers") }

    /// Makes the directory of a new sandbox with its writable layer, durable if the sandbox is.
    ///
    /// - Parameter diskMiB: What it may write; `nil`: as much as there is room on the host.
    /// - Throws: ``SandboxError`` with `unsupported` if this machine cannot bound it.
    public func createSandbox(_ id: SandboxID, durable: Bool, diskMiB: Int? = nil) async throws {
        let paths = paths(of: id)
        let parent = path + "/sandboxes"
        try await blocking { try Files.makeDirectory(paths.root, mode: 0o700) }
        if let diskMiB { try await layers.make(paths.image, mebibytes: diskMiB, durable: durable) }
        try await blocking {
            if diskMiB == nil {
                try Files.makeDirectory(paths.upper, mode: 0o755)
                try Files.makeDirectory(paths.work, mode: 0o700)
            }
            if durable {
                try DurableFile.sync(paths.root)
                try DurableFile.sync(parent)
            }
        }
    }

    public func hasSandbox(_ id: SandboxID) async throws -> Bool {
        let paths = paths(of: id)
        return try await blocking { paths.hasImage || Files.exists(paths.upper) }
    }

    /// Sandboxes that have a directory here.
    public func sandboxIDs() async throws -> Set<SandboxID> {
        let parent = path + "/sandboxes"
        return try await blocking { Set(try Files.entries(parent).compactMap { SandboxID($0) }) }
    }

    /// Makes the writable layer fit to be mounted again, whoever used it before.
    ///
    /// overlayfs refuses a layer that was mounted `volatile` before, because it cannot know whether the host crashed in
    /// between. The runtime knows: it lets a layer be mounted again only if the host did not crash, or the layer was
    /// synced (``syncFiles(of:)``).
    ///
    /// - Parameter fresh: Whether the processes start afresh. Then what the guest put over the init is removed (in an
    ///   image the driver does it), so that it cannot replace it; a restored guest has those files open and keeps them.
    public func prepareRoot(of id: SandboxID, fresh: Bool) async throws {
        let paths = paths(of: id)
        let hasImage = try await blocking { paths.hasImage }
        if hasImage { try await LayerImage.repairIfNeeded(paths.image) }
        try await blocking {
            if !hasImage {
                try Files.makeDirectory(paths.work, mode: 0o700)
                try TreeRemoval.remove(paths.work + "/work/incompat")
                if fresh { try TreeRemoval.remove(paths.upper + "/.nightjar") }
            }
            try Step.rootPrepared.reached()
        }
    }

    /// What the isolation driver mounts.
    public func layer(of id: SandboxID) async throws -> SandboxLayer {
        let paths = paths(of: id)
        return try await blocking {
            paths.hasImage
                ? .image(path: paths.image, place: paths.root) : .directories(upper: paths.upper, work: paths.work)
        }
    }

    /// Makes all files of the writable layer durable.
    ///
    /// - Parameter mounted: Does it for an image, which only the driver reaches.
    func syncFiles(of paths: SandboxPaths, mounted: @Sendable () async throws -> Void) async throws {
        if try await blocking({ paths.hasImage }) { return try await mounted() }
        try await blocking { try ChangedFiles.sync(paths.upper, mark: paths.syncMark) }
    }

    /// Bytes that the writable layer occupies on the host. What was written in the last seconds may be missing.
    public func diskUsage(of id: SandboxID) async throws -> Int64 {
        let paths = paths(of: id)
        return try await blocking { Int64(clamping: try DiskSpace.used(paths.hasImage ? paths.image : paths.upper)) }
    }

    /// Takes everything of a sandbox out of its place at once; ``sweepTrash()`` removes it. Nothing happens if there is
    /// nothing.
    public func trashSandbox(_ id: SandboxID) async throws {
        let root = paths(of: id).root
        try await blocking { [self] in try moveToTrash(root) }
    }

    /// Removes what lies in the trash. Calls while one is under way return at once; what they put there is removed too.
    public func sweepTrash() async throws {
        let mine = sweeping.withLock { busy in
            defer { busy = true }
            return !busy
        }
        guard mine else { return }
        defer { sweeping.withLock { $0 = false } }
        let trash = path + "/trash"
        try await blocking {
            while true {
                let names = try Files.entries(trash)
                if names.isEmpty { return }
                for name in names {
                    try TreeRemoval.remove("\(trash)/\(name)")
                    try Step.trashSwept.reached()
                }
            }
        }
    }

    func moveToTrash(_ victim: String) throws {
        guard Files.exists(victim) else { return }
        try Files.rename(victim, to: "\(path)/trash/\(randomToken(20))")
    }
}

/// Where the files are that a sandbox writes.
public enum SandboxLayer: Sendable, Hashable {
    /// overlayfs's two.
    case directories(upper: String, work: String)
    /// An ext4 image, and a directory on which it may be mounted where nobody sees it.
    case image(path: String, place: String)
}

/// Where the parts of one sandbox are.
public struct SandboxPaths: Sendable, Hashable {
    public let root: String
    /// The writable layer, if its size is bounded.
    var image: String { root + "/disk.img" }
    /// It blocks, for a moment.
    var hasImage: Bool { Files.exists(image) }
    var upper: String { root + "/upper" }
    var work: String { root + "/work" }
    /// Its change time says when the layer was last synced.
    var syncMark: String { root + "/synced" }
    var checkpoints: String { root + "/checkpoint" }
    /// Memory that standby wrote, by the number of that standby.
    public func checkpoint(_ generation: Int) -> String { "\(checkpoints)/\(generation)" }
    /// A checkpoint that is being written.
    func newCheckpoint(_ generation: Int) -> String { "\(checkpoints)/\(generation).new" }
}

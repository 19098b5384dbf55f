internal import Faults
internal import LinuxSystem
internal import SandboxModel

extension DataDirectory {
    /// Installs the init binary as a layer named by its content, unless it is there.
    ///
    /// Layers are never modified: a checkpoint refers to the very file that its processes were started with.
    ///
    /// - Parameter binary: Path of `nightjar-init`.
    /// - Returns: The layer's name, for ``initLayerPath(_:)``.
    /// - Throws: ``SandboxError`` with `unavailable` if there is no such binary.
    public func installInitLayer(from binary: String) async throws -> String {
        let parent = path + "/guest"
        return try await blocking { [self] in
            guard Files.exists(binary) else {
                throw SandboxError(
                    .unavailable, "The init binary \(binary) is not there.", hint: "build it with `make build`")
            }
            let bytes = try Files.read(binary, limit: 512 << 20)
            let name = ContentHash.name(bytes)
            let place = "\(parent)/\(name)"
            if Files.exists(place) {
                if let present = try? Files.read(place + "/.nightjar/init", limit: 512 << 20), present == bytes {
                    return name
                }
                // Torn by a crash of the host: nothing can have been started from it.
                try moveToTrash(place)
            }
            let fresh = "\(parent)/.new-\(randomToken(8))"
            try Files.makeDirectory(fresh, mode: 0o755)
            try Files.makeDirectory(fresh + "/.nightjar", mode: 0o755)
            try DurableFile.replace(fresh + "/.nightjar/init", with: bytes, mode: 0o755)
            try DurableFile.sync(fresh)
            try Step.layerWritten.reached()
            try DurableFile.move(fresh, to: place)
            try Step.layerPlaced.reached()
            return name
        }
    }

    /// The layer's directory.
    public func initLayerPath(_ name: String) -> String { "\(path)/guest/\(name)" }

    /// Removes layers that are not in `used`, and what an interrupted installation left.
    public func removeInitLayers(except used: Set<String>) async throws {
        let parent = path + "/guest"
        try await blocking { [self] in
            for name in try Files.entries(parent) where !used.contains(name) { try moveToTrash("\(parent)/\(name)") }
        }
    }
}

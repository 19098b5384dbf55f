internal import Client
internal import Foundation
internal import SandboxModel

/// Copies from a sandbox to this machine.
struct Download {
    let client: NightjarClient
    let sandbox: String
    let shows: Bool

    /// The interface lists at most so many levels at once.
    private static let listingDepth = 64

    func copy(_ path: SandboxPath, to destination: [UInt8]) async throws -> CopyResult {
        let root = try await client.stat(sandbox, path)
        let source = CopyPath(bytes: path.bytes)
        var target = destination
        let isDirectory = (try? LocalSource.entry(destination))?.isDirectory ?? false
        if (isDirectory || CopyPath(bytes: destination).endsInSlash) && !source.meansContent && !source.name.isEmpty {
            target = LocalSource.joined(destination, source.name)
        }
        switch root.kind {
        case .file: return try await copyFile(path, root, to: target)
        case .directory: return try await copyTree(path, root, to: target)
        default: throw SandboxError(.unsupported, "Only files, directories and symlinks can be copied.")
        }
    }

    func copyToOutput(_ path: SandboxPath) async throws -> CopyResult {
        let writer = DescriptorWriter(STDOUT_FILENO)
        var result = CopyResult(files: 1)
        for try await bytes in try await client.read(sandbox, path).content {
            try await writer.write(bytes)
            result.bytes += Int64(bytes.count)
        }
        return result
    }

    private func copyFile(_ path: SandboxPath, _ file: FileResource, to target: [UInt8]) async throws -> CopyResult {
        let place = CopyPath(bytes: target)
        let parent = Array(target[..<(target.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0)])
        guard !place.name.isEmpty else { throw SandboxError(.invalidPath, "The destination has no name.") }
        guard try parent.isEmpty || LocalSource.entry(parent).isDirectory else { throw LocalError.current(parent) }
        let directory = try LocalDestination(path: parent.isEmpty ? [0x2E] : parent)
        let progress = Progress(total: file.size, isShown: shows)
        try await receive(path, to: place.name, mode: file.permissions, directory, progress)
        progress.finish()
        return CopyResult(files: 1, bytes: progress.done)
    }

    private func copyTree(_ path: SandboxPath, _ root: FileResource, to target: [UInt8]) async throws -> CopyResult {
        let entries = try await tree(path)
        let directory = try LocalDestination(path: target, mode: root.permissions)
        let progress = Progress(
            total: entries.reduce(0) { $0 + ($1.file.kind == .file ? $1.file.size : 0) }, isShown: shows)
        var result = CopyResult(directories: 1)
        for entry in entries {
            switch entry.file.kind {
            case .directory:
                try directory.makeDirectory(entry.relative, mode: entry.file.permissions)
                result.directories += 1
            case .file:
                let source = path.appending(entry.relative)
                try await receive(source, to: entry.relative, mode: entry.file.permissions, directory, progress)
                result.files += 1
            case .symlink:
                try directory.makeSymlink(entry.relative, to: Array((entry.file.target ?? "").utf8))
                result.symlinks += 1
            case .other:
                let name = Human.plain(entry.file.path, width: 120)
                ErrorReport.write("warning: \(name) is skipped: neither file, directory nor symlink")
            }
        }
        try directory.finish()
        progress.finish()
        result.bytes = progress.done
        return result
    }

    private func receive(
        _ source: SandboxPath, to relative: [UInt8], mode: UInt32, _ directory: LocalDestination, _ progress: Progress
    ) async throws {
        let file = try directory.makeFile(relative, mode: mode)
        for try await bytes in try await client.read(sandbox, source).content {
            try await file.writer.write(bytes)
            progress.add(bytes.count)
        }
        try file.commit()
    }

    private struct Entry {
        var file: FileResource
        var relative: [UInt8]
    }

    /// Everything below a directory, directories before what is in them.
    private func tree(_ path: SandboxPath) async throws -> [Entry] {
        var result: [Entry] = []
        var pending: [[UInt8]] = [[]]
        while let base = pending.popLast() {
            let place = base.isEmpty ? path : path.appending(base)
            for file in try await client.list(sandbox, place, depth: Self.listingDepth) {
                let name = file.exactPath
                let relative = base.isEmpty ? name : base + [0x2F] + name
                result.append(Entry(file: file, relative: relative))
                let depth = name.split(separator: 0x2F).count
                if file.kind == .directory && depth == Self.listingDepth { pending.append(relative) }
            }
        }
        return result.sorted { $0.relative.lexicographicallyPrecedes($1.relative) }
    }
}

extension FileResource {
    /// Permission bits; what the sandbox says is not trusted to be a number.
    var permissions: UInt32 { (UInt32(mode, radix: 8) ?? 0o644) & 0o777 }

    var exactPath: [UInt8] {
        pathBase64.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? Array(path.utf8)
    }
}

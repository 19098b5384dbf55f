internal import Client
internal import Glibc
internal import SandboxModel

/// Copies from this machine into a sandbox.
struct Upload: Sendable {
    let client: NightjarClient
    let sandbox: String
    let user: String?
    let shows: Bool

    /// Small files are sent side by side.
    private static let parallelism = 8

    func copy(_ path: [UInt8], to destination: SandboxPath) async throws -> CopyResult {
        let root = try LocalSource.entry(path)
        let source = CopyPath(bytes: path)
        let target = try await target(destination, source)
        guard case .directory = root.kind else {
            guard case .file = root.kind else {
                throw SandboxError(.unsupported, "Only files, directories and symlinks can be copied.")
            }
            let progress = Progress(total: root.size, isShown: shows)
            try await send(root, to: target, progress)
            progress.finish()
            return CopyResult(files: 1, bytes: progress.done)
        }
        let entries = try LocalSource.tree(path)
        let progress = Progress(total: entries.reduce(0) { $0 + (($1.isFile) ? $1.size : 0) }, isShown: shows)
        var result = CopyResult()
        try await makeDirectory(target, mode: root.mode, parents: true)
        result.directories = 1
        for entry in entries {
            if case .directory = entry.kind {
                try await makeDirectory(target.appending(entry.relative), mode: entry.mode, parents: false)
                result.directories += 1
            }
        }
        try await sendAll(entries.filter { !$0.isDirectory }, below: target, progress, &result)
        progress.finish()
        result.bytes = progress.done
        return result
    }

    func copyInput(to destination: SandboxPath) async throws -> CopyResult {
        let progress = Progress(total: nil, isShown: shows && !TerminalMode.standardInputIsTerminal)
        let content = LocalContent(reader: DescriptorReader(STDIN_FILENO), progress: progress)
        _ = try await client.write(sandbox, destination, FileWriteOptions(user: user), content: content)
        progress.finish()
        return CopyResult(files: 1, bytes: progress.done)
    }

    private func target(_ destination: SandboxPath, _ source: CopyPath) async throws -> SandboxPath {
        let existing = try await stat(destination)
        if existing?.kind == .directory, !source.meansContent, !source.name.isEmpty {
            return destination.appending(source.name)
        }
        if existing == nil, CopyPath(bytes: destination.bytes).endsInSlash, !source.meansContent {
            return destination.appending(source.name)
        }
        return destination
    }

    private func stat(_ path: SandboxPath) async throws -> FileResource? {
        do {
            return try await client.stat(sandbox, path)
        } catch let error as SandboxError where error.code == .fileNotFound {
            return nil
        }
    }

    private func makeDirectory(_ path: SandboxPath, mode: UInt32, parents: Bool) async throws {
        guard let text = String(validating: path.bytes, as: UTF8.self) else {
            throw SandboxError(.unsupported, "A directory's name is not UTF-8: \(path).", hint: "pack it with tar")
        }
        do {
            try await client.makeDirectory(sandbox, text, parents: parents, mode: mode, user: user)
        } catch let error as SandboxError where error.code == .fileExists {
            guard try await stat(path)?.kind == .directory else { throw error }
        }
    }

    private func sendAll(
        _ entries: [LocalEntry], below target: SandboxPath, _ progress: Progress, _ result: inout CopyResult
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for entry in entries {
                if running == Self.parallelism {
                    try await group.next()
                    running -= 1
                }
                let path = target.appending(entry.relative)
                switch entry.kind {
                case .file:
                    result.files += 1
                    group.addTask { try await send(entry, to: path, progress) }
                case .symlink(let destination):
                    result.symlinks += 1
                    group.addTask { try await makeSymlink(path, to: destination) }
                case .directory, .other:
                    ErrorReport.write("warning: \(String(decoding: entry.path, as: UTF8.self)) is skipped: not a file")
                    continue
                }
                running += 1
            }
            try await group.waitForAll()
        }
    }

    private func send(_ entry: LocalEntry, to path: SandboxPath, _ progress: Progress) async throws {
        let descriptor = open(LocalSource.cString(entry.path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LocalError.current(entry.path) }
        defer { close(descriptor) }
        let content = LocalContent(reader: DescriptorReader(descriptor), progress: progress)
        let options = FileWriteOptions(mode: entry.mode, user: user)
        let file = try await client.write(sandbox, path, options, content: content)
        // A file that was there before kept its own.
        if let mode = UInt32(file.mode, radix: 8), mode & 0o7777 != entry.mode,
            let text = String(validating: path.bytes, as: UTF8.self)
        {
            try await client.changeMode(sandbox, text, entry.mode)
        }
    }

    private func makeSymlink(_ path: SandboxPath, to target: [UInt8]) async throws {
        guard let text = String(validating: path.bytes, as: UTF8.self),
            let targetText = String(validating: target, as: UTF8.self)
        else { throw SandboxError(.unsupported, "A symlink's name is not UTF-8: \(path).", hint: "pack it with tar") }
        do {
            try await client.makeSymlink(sandbox, text, to: targetText, user: user)
        } catch let error as SandboxError where error.code == .fileExists {
            try await client.remove(sandbox, path)
            try await client.makeSymlink(sandbox, text, to: targetText, user: user)
        }
    }
}

extension LocalEntry {
    var isFile: Bool { if case .file = kind { true } else { false } }
    var isDirectory: Bool { if case .directory = kind { true } else { false } }
}

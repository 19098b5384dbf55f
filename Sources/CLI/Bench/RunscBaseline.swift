internal import Dispatch
internal import Foundation
internal import SandboxModel

/// runsc used by hand, on the same root file system and the same disk: what the server is measured against.
///
/// No control groups and the writable layer in memory: less to do than the server has, so the comparison favours runsc.
final class RunscBaseline: Sendable {
    private let runsc: String
    private let rootfs: String
    private let directory: String
    private let reaper: ChildReaper
    private let queue = DispatchQueue(label: "nightjar.bench.runsc")

    /// A program that holds so much memory with random contents.
    static func touch(_ mebibytes: Int) -> String {
        """
        import os, time
        memory = [os.urandom(1 << 20) for _ in range(\(mebibytes))]
        print("ready", flush=True)
        while True: time.sleep(1000)
        """
    }

    /// - Parameters:
    ///   - rootfs: The template's; it is not changed.
    ///   - directory: A new directory on the disk that the server's data is on.
    init(runsc: String, rootfs: String, directory: String) throws {
        self.runsc = runsc
        self.rootfs = rootfs
        self.directory = directory
        try FileManager.default.createDirectory(atPath: directory + "/run", withIntermediateDirectories: true)
        reaper = try ChildReaper()
    }

    /// Ends what is left and removes the directory.
    func end() async {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names where name.hasPrefix("bundle-") { _ = try? await delete(String(name.dropFirst(7))) }
        // What failed while it was made has lost its bundle and may still run.
        let states = (try? FileManager.default.contentsOfDirectory(atPath: directory + "/run")) ?? []
        for name in states where name.hasSuffix(".state") {
            let id = name.dropLast(6).split(separator: "_sandbox:").first.map(String.init)
            if let id { _ = try? await delete(id) }
        }
        reaper.end()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: What is measured

    /// `runsc exec` of `/bin/true`, to its exit.
    func exec(_ id: String) async throws -> Double {
        try await blocking { try self.call(["exec", id, "/bin/true"]) }
    }

    /// `runsc run`, to the first byte of output. Once in some hundred runs it is killed from inside (137); that is no
    /// sample, and it is run again.
    func runToFirstByte(_ id: String) async throws -> Double {
        do {
            return try await runOnce(id)
        } catch {
            _ = try? await delete(id)
            return try await runOnce(id + "-again")
        }
    }

    private func runOnce(_ id: String) async throws -> Double {
        let bundle = try makeBundle(id, ["/bin/echo", "x"])
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        return try await blocking {
            let pipe = Pipe()
            let start = ContinuousClock.now
            let pid = try self.reaper.spawn(
                self.command(["run", "-bundle", bundle, id]), output: pipe.fileHandleForWriting.fileDescriptor)
            try pipe.fileHandleForWriting.close()
            let first = try pipe.fileHandleForReading.read(upToCount: 1)
            let elapsed = (ContinuousClock.now - start).milliseconds
            let code = self.reaper.wait(pid)
            guard first?.count == 1, code == 0 else { throw Self.failed("run", code, "") }
            return elapsed
        }
    }

    /// `runsc restore -detach` of an image that ``makeImage(_:)`` made.
    func restore(_ id: String, image: String) async throws -> Double {
        let bundle = try makeBundle(id, ["/usr/bin/python3", "-c", Self.touch(64)])
        return try await blocking {
            try self.call(["restore", "-detach", "-bundle", bundle, "-image-path", image, id])
        }
    }

    /// `runsc delete -force`.
    func delete(_ id: String) async throws -> Double {
        let elapsed = try await blocking { try self.call(["delete", "-force", id]) }
        try? FileManager.default.removeItem(atPath: "\(directory)/bundle-\(id)")
        return elapsed
    }

    // MARK: What that needs

    /// Starts a container that does nothing for ever.
    func startIdle(_ id: String) async throws {
        let bundle = try makeBundle(id, ["/bin/sleep", "1000000"])
        _ = try await blocking { try self.call(["run", "-detach", "-bundle", bundle, id]) }
    }

    /// Runs a container that holds 64 MiB, and writes its checkpoint without compression.
    func makeImage(_ id: String) async throws -> String {
        try await startTouching(id, mebibytes: 64)
        let image = try await checkpoint(id).image
        _ = try await delete(id)
        return image
    }

    /// Starts a container that holds so much memory, and waits until it does.
    func startTouching(_ id: String, mebibytes: Int) async throws {
        let bundle = try makeBundle(id, ["/usr/bin/python3", "-c", Self.touch(mebibytes)])
        try await blocking {
            let pipe = Pipe()
            let pid = try self.reaper.spawn(
                self.command(["run", "-detach", "-bundle", bundle, id]),
                output: pipe.fileHandleForWriting.fileDescriptor)
            try pipe.fileHandleForWriting.close()
            guard self.reaper.wait(pid) == 0, try pipe.fileHandleForReading.read(upToCount: 6)?.count == 6 else {
                throw Self.failed("run", 1, "")
            }
        }
    }

    /// `runsc checkpoint -compression none`, to its exit: nothing is synced to the device then.
    ///
    /// - Returns: Besides, how long an `fsync` of its files and their directory takes after it.
    func checkpoint(_ id: String) async throws -> (image: String, milliseconds: Double, sync: Double) {
        let image = "\(directory)/image-\(id)"
        try? FileManager.default.removeItem(atPath: image)
        try FileManager.default.createDirectory(atPath: image, withIntermediateDirectories: true)
        let time = try await blocking {
            try self.call(["checkpoint", "-compression", "none", "-image-path", image, id])
        }
        let sync = try await blocking {
            let start = ContinuousClock.now
            for name in try FileManager.default.contentsOfDirectory(atPath: image) + ["."] {
                let file = open("\(image)/\(name)", O_RDONLY)
                guard file >= 0, fsync(file) == 0 else { throw Self.failed("fsync", errno, name) }
                close(file)
            }
            return (ContinuousClock.now - start).milliseconds
        }
        return (image, time, sync)
    }

    private func command(_ words: [String]) -> [String] {
        [
            runsc, "--root", directory + "/run", "--network=none", "--platform=systrap", "--ignore-cgroups",
            "--overlay2=root:memory",
        ] + words
    }

    /// - Returns: Milliseconds from the start of the program to its exit.
    private func call(_ words: [String]) throws -> Double {
        let errors = directory + "/stderr"
        _ = FileManager.default.createFile(atPath: errors, contents: nil)
        guard let file = FileHandle(forWritingAtPath: errors) else { throw Self.failed(words[0], 1, "no error file") }
        let start = ContinuousClock.now
        let code = reaper.wait(try reaper.spawn(command(words), errors: file.fileDescriptor))
        let elapsed = (ContinuousClock.now - start).milliseconds
        guard code == 0 else {
            let text = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
            throw Self.failed(words[0], code, String(text.suffix(500)))
        }
        return elapsed
    }

    private static func failed(_ verb: String, _ code: Int32, _ text: String) -> SandboxError {
        SandboxError(.driverFailed, "runsc \(verb) ended with \(code). \(text)")
    }

    private func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }

    private func makeBundle(_ id: String, _ arguments: [String]) throws -> String {
        let bundle = "\(directory)/bundle-\(id)"
        try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
        let capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]
        let spec: [String: Any] = [
            "ociVersion": "1.0.2",
            "process": [
                "user": ["uid": 0, "gid": 0], "args": arguments, "cwd": "/",
                "env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
                "capabilities": [
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                ],
            ],
            "root": ["path": rootfs, "readonly": false], "hostname": "bench",
            "mounts": [
                ["destination": "/proc", "type": "proc", "source": "proc"],
                ["destination": "/tmp", "type": "tmpfs", "source": "tmpfs"],
            ],
            "linux": ["namespaces": ["pid", "mount", "ipc", "uts", "network"].map { ["type": $0] }],
        ]
        try JSONSerialization.data(withJSONObject: spec).write(to: URL(fileURLWithPath: bundle + "/config.json"))
        return bundle
    }
}

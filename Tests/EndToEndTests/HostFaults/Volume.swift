import Foundation
import Glibc

/// A small ext4 file system of its own, on a file.
///
/// Whoever holds it may be killed at any time: a helper then takes it away, as soon as its input ends.
final class Volume {
    let path: String
    private let image: String
    private let helper: ChildProgram
    private let life = Pipe()

    init(mebibytes: Int) async throws {
        path = "\(TestEnvironment.temporary)/volume-\(UUID().uuidString.prefix(6).lowercased())"
        image = path + ".img"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard FileManager.default.createFile(atPath: image, contents: nil), truncate(image, mebibytes << 20) == 0
        else { throw TestFailure("there is no place for a volume") }
        // Whoever else is started must not hold it open.
        for end in [life.fileHandleForReading, life.fileHandleForWriting] {
            _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
        }
        let script = """
            cat; while mountpoint -q "$0"; do umount -l "$0" || break; done; rm -f "$0.img"; rmdir "$0"
            """
        helper = try ChildProgram(
            "/bin/sh", ["-c", script, path], variables: TestEnvironment.childVariables,
            input: life.fileHandleForReading, output: .nullDevice, error: .nullDevice)
        do {
            try await run("/usr/sbin/mkfs.ext4", ["-q", "-F", "-m", "0", image])
            try await mount()
        } catch {
            await remove()
            throw error
        }
    }

    func mount() async throws { try await run("/usr/bin/mount", ["-o", "loop", image, path]) }

    /// As after a fault of the device: whatever still has files open there keeps them.
    func unmount() async throws { try await run("/usr/bin/umount", ["-l", path]) }

    /// No bytes are left afterwards but so many MiB.
    func fill(leaving rest: Int) throws {
        empty()
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw TestFailure("statvfs: \(errno)") }
        let file = open(path + "/ballast", O_WRONLY | O_CREAT, 0o600)
        defer { close(file) }
        let bytes = Int(status.f_bavail) * Int(status.f_frsize) - rest << 20
        _ = posix_fallocate(file, 0, off_t(max(1, bytes)))
        guard rest == 0 else { return }
        // The rest in small pieces: where the kernel keeps what it does not tell of.
        let piece = [UInt8](repeating: 1, count: 4096)
        lseek(file, 0, SEEK_END)
        while write(file, piece, piece.count) > 0 {}
    }

    func empty() { unlink(path + "/ballast") }

    /// Whoever opens something now finds it read-only. Nothing may be open for writing.
    func makeReadOnly(_ readOnly: Bool) async throws {
        try await run("/usr/bin/mount", ["-o", "remount,bind,\(readOnly ? "ro" : "rw")", path])
    }

    /// As after an error of the device: ext4 gives up, and is read-only from then on. To be mounted again.
    func breakDown() async throws { try await run("/usr/bin/mount", ["-o", "remount,abort", path]) }

    func remove() async {
        try? life.fileHandleForWriting.close()
        _ = await helper.wait()
    }

    private func run(_ program: String, _ arguments: [String]) async throws {
        let result = try await ChildProgram.run(program, arguments, variables: TestEnvironment.childVariables)
        guard result.code == 0 else { throw TestFailure("\(program) \(arguments): \(result.error)") }
    }
}

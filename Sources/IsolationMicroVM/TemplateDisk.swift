internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// A template's root as a read-only disk, beside its directory: made when the first machine needs it.
enum TemplateDisk {
    private static let deadline = Duration.seconds(300)
    private static let tool = "/usr/sbin/mke2fs"

    /// Where the disk of a root directory is.
    static func path(_ rootfs: String) -> String { rootfs + ".ext4" }

    /// Makes the disk unless it is there. One call at a time for each root.
    ///
    /// - Throws: ``SandboxError`` with `unsupported` without `mke2fs`, `no_space` or `driver_failed`.
    static func prepare(_ rootfs: String) async throws {
        let path = path(rootfs)
        guard access(path, R_OK) != 0 else { return }
        guard access(tool, X_OK) == 0 else {
            throw SandboxError(.unsupported, "mke2fs is not installed.", hint: "apt-get install e2fsprogs")
        }
        let used = try await BlockingPool.shared.run { try DiskSpace.used(rootfs) }
        // Blocks of 4 KiB, an inode for each 8 KiB, and room for what the file system needs for itself.
        let mebibytes = (Int(used) >> 20) * 5 / 4 + 64
        let fresh = "\(path).\(randomToken(8))"
        do {
            try await run([
                "-q", "-F", "-t", "ext4", "-b", "4096", "-i", "8192", "-m", "0", "-O", "^has_journal,metadata_csum",
                "-E", "root_owner=0:0", "-d", rootfs, fresh, "\(mebibytes)m",
            ])
            try await BlockingPool.shared.run {
                guard chmod(fresh, 0o444) == 0 else { throw SystemError(errno, "chmod", fresh) }
                try DurableFile.sync(fresh)
                try DurableFile.move(fresh, to: path)
            }
        } catch {
            unlink(fresh)
            throw (error as? SystemError)?.sandboxError(.driverFailed, "The template's disk cannot be made.") ?? error
        }
    }

    private static func run(_ arguments: [String]) async throws {
        let output = try await ChildProcess.run(
            ChildCommand(tool, arguments, environment: ["MKE2FS_CONFIG": "/dev/null"], directory: "/"),
            until: .now + deadline)
        guard output.exit.isSuccess else {
            throw SandboxError(
                .driverFailed, "The template's disk cannot be made: \(output.complaint.prefix(200))",
                hint: "is there room on the data directory's device?")
        }
    }
}

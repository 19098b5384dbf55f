internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// A sandbox's writable layer as a sparse ext4 image of its own: its size bounds what the sandbox writes, and the number
/// of its inodes how many files that are. Nobody mounts it but the isolation driver.
///
/// Formatting takes some 20 ms, so an image is a copy of one that was formatted before; only a few hundred kilobytes of
/// it are not holes.
struct LayerImage: Sendable {
    /// Where formatted images are kept, one for each size.
    let prototypes: String

    /// Sizes of which a formatted image is kept, at most.
    static let prototypeLimit = 16
    /// Changes with the format, so that no image of an older one is copied.
    private static let version = 1
    private static let formatDeadline = Duration.seconds(30)
    private static let control = "/dev/loop-control"

    /// Bytes of files for each inode.
    static let bytesPerInode = 16_384
    private static let journal = 16

    /// Makes a new image.
    ///
    /// - Parameters:
    ///   - mebibytes: Its size.
    ///   - durable: Whether its contents are on the device when this returns.
    /// - Throws: ``SandboxError`` with `unsupported` if this machine has no loop devices or no `mke2fs`.
    func make(_ path: String, mebibytes: Int, durable: Bool) async throws {
        let prototype = "\(prototypes)/ext4-\(Self.version)-\(mebibytes)"
        guard try await blocking({ Files.exists(Self.control) }) else {
            throw SandboxError(
                .unsupported, "This machine has no loop devices, so the size of a sandbox's files cannot be bounded.",
                hint: "load the module with `modprobe loop`, or start the server with --disk-quota 0")
        }
        // Images of other sizes, made at the same time, may displace the prototype again.
        for _ in 0..<4 {
            let isMade = try await blocking {
                guard let made = try Self.copy(prototype, to: path) else { return false }
                if durable, fsync(made.raw) != 0 { throw Files.failure("fsync", path) }
                return true
            }
            if isMade { return }
            try await makePrototype(prototype, mebibytes)
        }
        throw SandboxError(.storeFailed, "The sandbox's disk could not be made.", hint: "try again")
    }

    /// Removes what an interrupted formatting left.
    func removeUnfinished() throws {
        for name in try Files.entries(prototypes) where name.contains(".") { unlink("\(prototypes)/\(name)") }
    }

    private func makePrototype(_ path: String, _ mebibytes: Int) async throws {
        let fresh = "\(path).\(randomToken(8))"
        try await blocking { try Self.makeHole(fresh, bytes: Int64(mebibytes) << 20) }
        do {
            try await Self.format(fresh)
            try await blocking { [prototypes] in
                try DurableFile.sync(fresh)
                let kept = try Files.entries(prototypes).filter { !$0.contains(".") && !path.hasSuffix("/" + $0) }
                for victim in kept.prefix(max(0, kept.count + 1 - Self.prototypeLimit)) {
                    unlink("\(prototypes)/\(victim)")
                }
                try DurableFile.move(fresh, to: path)
            }
        } catch {
            unlink(fresh)
            throw error
        }
    }

    /// The host's configuration of mke2fs plays no part: what an image is like must not depend on the machine.
    private static func format(_ path: String) async throws {
        let features = [
            "none", "has_journal", "ext_attr", "dir_index", "filetype", "extent", "64bit", "flex_bg", "sparse_super",
            "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum",
        ]
        let arguments = [
            "-q", "-F", "-b", "4096", "-I", "256", "-i", "\(bytesPerInode)", "-m", "0", "-J", "size=\(journal)",
            "-O", features.joined(separator: ","),
            "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0", path,
        ]
        try await run("mke2fs", arguments, succeeds: [0])
    }

    /// Mends an image that says of itself that it has errors: after the host's disk was full, or failed.
    static func repairIfNeeded(_ path: String) async throws {
        let needsRepair = try await blocking {
            guard try hasErrors(path) else { return false }
            try FileUse.awaitSole(path, milliseconds: 8000)
            return true
        }
        guard needsRepair else { return }
        // 1: errors were corrected.
        try await run("e2fsck", ["-f", "-p", path], succeeds: [0, 1])
    }

    private static func run(_ tool: String, _ arguments: [String], succeeds codes: Set<Int32>) async throws {
        let places = ["/usr/sbin/", "/sbin/"].map { $0 + tool }
        guard let program = places.first(where: { access($0, X_OK) == 0 }) else {
            throw SandboxError(
                .unsupported, "\(tool) is not installed.", hint: "apt-get install e2fsprogs")
        }
        let output = try await ChildProcess.run(
            ChildCommand(program, arguments, environment: ["MKE2FS_CONFIG": "/dev/null"], directory: "/"),
            until: .now + formatDeadline)
        guard case .code(let code) = output.exit, codes.contains(code) else {
            throw SandboxError(
                .storeFailed, "\(tool) failed: \(output.complaint.prefix(200))", hint: "see the server's log")
        }
    }

    /// From the superblock's `s_state` (offset 58 of the superblock, which is at 1024; bit 1: errors were seen).
    private static func hasErrors(_ path: String) throws -> Bool {
        let file = try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW)
        var state: UInt16 = 0
        guard pread(file.raw, &state, 2, 1024 + 58) == 2 else { throw Files.failure("read", path) }
        return UInt16(littleEndian: state) & 2 != 0
    }

    private static func makeHole(_ path: String, bytes: Int64) throws {
        let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        guard ftruncate(file.raw, Int(bytes)) == 0 else { throw Files.failure("truncate", path) }
    }

    /// A clone where the file system can (XFS, btrfs), else a copy of what is not a hole.
    ///
    /// - Returns: `nil` if there is no source.
    private static func copy(_ source: String, to target: String) throws -> FileDescriptor? {
        guard Files.exists(source) else { return nil }
        let from = try FileDescriptor.open(source, O_RDONLY | O_NOFOLLOW)
        unlink(target)
        let to = try FileDescriptor.open(target, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        // FICLONE of linux/fs.h.
        if ioctl(to.raw, 0x4004_9409, from.raw) == 0 { return to }
        let end = lseek(from.raw, 0, SEEK_END)
        guard end > 0, ftruncate(to.raw, end) == 0 else { throw Files.failure("truncate", target) }
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        var offset: off_t = 0
        // SEEK_DATA and SEEK_HOLE of unistd.h.
        while offset < end, case let start = lseek(from.raw, offset, 3), start >= 0 {
            offset = min(end, max(start, lseek(from.raw, start, 4)))
            var position = start
            while position < offset {
                let count = pread(from.raw, &buffer, min(buffer.count, offset - position), position)
                guard count > 0, pwrite(to.raw, buffer, count, position) == count else {
                    throw Files.failure("copy", target)
                }
                position += count
            }
            guard offset > start else { throw Files.failure("seek", source) }
        }
        return to
    }
}

internal import Glibc
internal import LinuxSystem

/// The files of a checkpoint, as runsc names them.
enum CheckpointImage {
    /// In the order in which the control socket takes them: state, metadata of the pages, pages.
    static let names = ["checkpoint.img", "pages_meta.img", "pages.img"]

    /// Bytes that an image needs besides the memory in use: gVisor's own state.
    static let margin: UInt64 = 64 << 20

    /// How long writing or reading an image may take: slow disks do 20 MB/s.
    static func deadline(bytes: UInt64) -> Duration { .seconds(30) + .seconds(Int(bytes / 20_000_000)) }

    /// Makes a directory with directories in it.
    static func makeDirectories(_ directory: String, _ names: [String]) throws(SystemError) {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", directory) }
        for name in names {
            var path = directory
            for component in name.split(separator: "/") {
                path += "/" + component
                guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError(errno, "mkdir", path) }
            }
        }
    }

    /// Makes the files, which must not exist.
    static func create(in directory: String) throws(SystemError) -> [FileDescriptor] {
        var files: [FileDescriptor] = []
        for name in names {
            files.append(
                try FileDescriptor.open("\(directory)/\(name)", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600))
        }
        return files
    }

    /// Opens the files of a whole image.
    static func open(in directory: String) throws(SystemError) -> (files: [FileDescriptor], bytes: UInt64) {
        var files: [FileDescriptor] = []
        for name in names {
            let file = try FileDescriptor.open("\(directory)/\(name)", O_RDONLY | O_NOFOLLOW)
            // After a reboot nothing is in memory yet: let the disk begin while the sandbox is being put together.
            posix_fadvise(file.raw, 0, 0, POSIX_FADV_WILLNEED)
            files.append(file)
        }
        return (files, try DiskSpace.used(directory))
    }

    /// Removes what a failed checkpoint left.
    static func remove(from directory: String) async {
        _ = try? await BlockingPool.shared.run {
            for name in names { unlink("\(directory)/\(name)") }
        }
    }
}

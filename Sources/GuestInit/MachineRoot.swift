internal import CLinux
internal import Glibc

/// The file systems of a machine. They are what the sandboxes of every isolation have: the root is an overlay of the
/// sandbox's layer, the layer with the init and the template; the others have the same places, sizes and rights.
enum MachineRoot {
    private struct Mount {
        var type: String
        var path: String
        var flags: UInt32
        var options: String
        init(_ type: String, _ path: String, _ flags: [nj_mount_flag], _ options: String = "") {
            self.type = type
            self.path = path
            self.flags = flags.reduce(0) { $0 | $1.rawValue }
            self.options = options
        }
    }

    private static let kernelFiles = [
        Mount("proc", "/proc", [NJ_NO_SUID, NJ_NO_DEVICES, NJ_NO_EXECUTE]),
        Mount("sysfs", "/sys", [NJ_NO_SUID, NJ_NO_DEVICES, NJ_NO_EXECUTE]),
        Mount("devtmpfs", "/dev", [NJ_NO_SUID], "mode=755"),
    ]
    private static let inMemory = [
        Mount("devpts", "/dev/pts", [NJ_NO_SUID, NJ_NO_EXECUTE], "ptmxmode=0666,mode=0620,gid=5"),
        Mount("tmpfs", "/dev/shm", [NJ_NO_SUID, NJ_NO_DEVICES], "mode=1777,size=256m"),
        Mount("tmpfs", "/tmp", [NJ_NO_SUID, NJ_NO_DEVICES], "mode=1777,size=512m"),
        Mount("tmpfs", "/run", [NJ_NO_SUID, NJ_NO_DEVICES], "mode=755,size=64m"),
    ]
    /// What the kernel does not make in `/dev`, and programs expect.
    private static let links = [
        ("/proc/self/fd", "/dev/fd"), ("/proc/self/fd/0", "/dev/stdin"), ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ]
    private static let template = "/layers/template"
    private static let layer = "/layers/own"
    private static let initLayer = "/layers/init"
    private static let new = "/new"

    /// The first thing, in the initramfs. `/proc` is mounted already, without which nothing of Swift runs.
    static func mountKernelFiles() throws(MachineFailure) {
        for mount in kernelFiles where mount.type != "proc" || access("/proc/self/exe", F_OK) != 0 {
            try make(mount)
        }
    }

    /// Makes the root out of the two disks and moves there.
    ///
    /// - Returns: An open directory of the layer's file system.
    static func build(template device: String, layer disk: String) throws(MachineFailure) -> Int32 {
        for path in ["/layers", template, layer, initLayer, initLayer + "/.nightjar", new] { mkdir(path, 0o755) }
        // The file that this process runs from is moved and not copied, so it is in memory once.
        guard rename("/init", initLayer + "/.nightjar/init") == 0 else { throw MachineFailure("init layer", errno) }
        try MachineFailure.check(
            nj_mount_at("ext4", device, template, NJ_READ_ONLY.rawValue, nil), "template disk \(device)")
        // As the host mounts it for the other isolation.
        try MachineFailure.check(
            nj_mount_at(
                "ext4", disk, layer, NJ_NO_SUID.rawValue | NJ_NO_DEVICES.rawValue,
                "discard,noinit_itable,errors=remount-ro"), "layer disk \(disk)")
        var step: UnsafePointer<CChar>?
        let error = nj_mount_layered(layer, "\(initLayer):\(template)", new, &step)
        try MachineFailure.check(error, step.map { String(cString: $0) } ?? "overlay")
        let opened = nj_openat(AT_FDCWD, layer, O_RDONLY | O_DIRECTORY, 0)
        guard opened >= 0 else { throw MachineFailure("layer", errno) }
        for mount in kernelFiles {
            mkdir(new + mount.path, 0o755)
            try MachineFailure.check(
                nj_mount_at("none", mount.path, new + mount.path, NJ_MOVE.rawValue, nil), "move of \(mount.path)")
        }
        try MachineFailure.check(nj_switch_root(new), "change of the root")
        // The places of memory are the machine's, so they may cover what a template has there.
        for mount in inMemory { try make(mount) }
        for (target, path) in links { symlink(target, path) }
        let readOnly =
            NJ_REMOUNT.rawValue | NJ_BIND.rawValue | NJ_READ_ONLY.rawValue | NJ_NO_SUID.rawValue
            | NJ_NO_DEVICES.rawValue | NJ_NO_EXECUTE.rawValue
        try MachineFailure.check(nj_mount_at("none", "none", "/sys", readOnly, nil), "/sys")
        return opened
    }

    private static func make(_ mount: Mount) throws(MachineFailure) {
        mkdir(mount.path, 0o755)
        try MachineFailure.check(
            nj_mount_at(mount.type, mount.type, mount.path, mount.flags, mount.options.isEmpty ? nil : mount.options),
            mount.path)
    }
}

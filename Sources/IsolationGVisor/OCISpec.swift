internal import Foundation

/// The part of an OCI bundle's `config.json` that runsc is given.
///
/// It is the same for every sandbox: hostname, root and limits come later, so that sandboxes can be created ahead.
struct OCISpec: Encodable {
    struct Process: Encodable {
        struct User: Encodable {
            var uid = 0
            var gid = 0
        }
        struct Limit: Encodable {
            var type: String
            var hard: UInt64
            var soft: UInt64
        }
        var user = User()
        var args = [GVisorConfiguration.initPath]
        var env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux"]
        var cwd = "/"
        var capabilities: [String: [String]]
        var rlimits = [Limit(type: "RLIMIT_NOFILE", hard: 1 << 20, soft: 1 << 20)]
        // sudo works by a set-user-id bit, which only gVisor's kernel honours: the host mounts the root nosuid.
        var noNewPrivileges = false
    }
    struct Root: Encodable {
        var path: String
        var readonly = false
    }
    struct Mount: Encodable {
        var destination: String
        var type: String
        var source: String
        var options: [String]
    }
    struct Linux: Encodable {
        struct Namespace: Encodable { var type: String }
        var namespaces = ["pid", "mount", "ipc", "uts", "network"].map(Namespace.init)
    }

    var ociVersion = "1.0.2"
    var process: Process
    var root: Root
    var hostname = "sandbox"
    var mounts = OCISpec.mounts
    var linux = Linux()

    init(root: String) {
        let sets = ["bounding", "effective", "permitted"]
        process = Process(capabilities: Dictionary(uniqueKeysWithValues: sets.map { ($0, Self.capabilities) }))
        self.root = Root(path: root)
    }

    /// What root inside may do. It is judged by gVisor's kernel alone and gives nothing on the host. The usual set of
    /// containers, without raw sockets; with what an init and a developer need on top: host name and mounts
    /// (`SYS_ADMIN`), debuggers (`SYS_PTRACE`), raised limits and priorities.
    static let capabilities = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "SETFCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE", "SYS_NICE",
        "IPC_LOCK",
    ].map { "CAP_" + $0 }

    /// What is in memory is bounded, so that a full `/tmp` is an error inside and not the end of the sandbox.
    private static let mounts = [
        Mount(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "nodev", "noexec"]),
        Mount(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "nodev", "noexec", "ro"]),
        Mount(destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"]),
        Mount(destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance"]),
        memory("/dev/shm", mode: "1777", size: "256m"),
        memory("/tmp", mode: "1777", size: "512m"),
        memory("/run", mode: "755", size: "64m"),
    ]

    private static func memory(_ destination: String, mode: String, size: String) -> Mount {
        Mount(
            destination: destination, type: "tmpfs", source: "tmpfs",
            options: ["nosuid", "nodev", "mode=\(mode)", "size=\(size)"])
    }

    /// The contents of `config.json`.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }
}

/// What a guest would run that has taken its monitor over: it stands in the monitor's place, and tries what it can.
///
/// A program of the host's interpreter, because a jail has the host's programs. For each line on the channel, a JSON object
/// with what to look for, it answers with a line of JSON: what became of each attempt, `done` or the error's name.
enum JailProbe {
    static let interpreter = "/usr/bin/python3"
    static let command = [interpreter, "-I", "-S", "-c", program]

    private static let program = """
        import ctypes, errno, json, os, resource, socket, stat
        "".encode("idna")
        libc = ctypes.CDLL(None, use_errno=True)
        channel = socket.socket(fileno=3)

        def call(name, *arguments):
            if getattr(libc, name)(*arguments) < 0:
                raise OSError(ctypes.get_errno(), name)

        def outcome(action, *arguments):
            try:
                result = action(*arguments)
                if action is os.open:
                    os.close(result)
                return "done"
            except OSError as error:
                return errno.errorcode.get(error.errno, str(error.errno))
            except ValueError as error:
                return "EPERM"

        def listing(path):
            try:
                return sorted(os.listdir(path))
            except OSError:
                return []

        def reach(family, address):
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.connect(address)

        def opened():
            found = []
            for descriptor in range(1100):
                try:
                    os.fstat(descriptor)
                    found.append(descriptor)
                except OSError:
                    pass
            return found

        def attempts(ask):
            tried = {}
            for path in ask["paths"]:
                tried["read " + path] = outcome(os.open, path, os.O_RDONLY)
                tried["write " + path] = outcome(os.open, path, os.O_WRONLY | os.O_CREAT, 0o600)
            for path in ask["sockets"]:
                tried["connect " + path] = outcome(reach, socket.AF_UNIX, path)
            tried["connect abstract"] = outcome(reach, socket.AF_UNIX, "\\0" + ask["abstract"])
            tried["connect loopback"] = outcome(reach, socket.AF_INET, ("127.0.0.1", ask["port"]))
            tried["raw socket"] = outcome(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
            tried["packet socket"] = outcome(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
            for pid in ask["pids"]:
                tried["kill %d" % pid] = outcome(os.kill, pid, 0)
                tried["ptrace %d" % pid] = outcome(call, "ptrace", 16, pid, 0, 0)
                tried["setpriority %d" % pid] = outcome(os.setpriority, os.PRIO_PROCESS, pid, 0)
            tried["kill all"] = outcome(os.kill, -1, 9)
            tried["setuid"] = outcome(os.setresuid, 0, 0, 0)
            tried["setgid"] = outcome(os.setresgid, 0, 0, 0)
            tried["setgroups"] = outcome(os.setgroups, [0])
            tried["mkdir"] = outcome(os.mkdir, "/made")
            tried["link"] = outcome(os.symlink, "/etc", "/made")
            tried["rename"] = outcome(os.rename, "/" + ask["writable"], "/renamed")
            tried["mknod"] = outcome(os.mknod, "/node", stat.S_IFCHR | 0o666, os.makedev(1, 1))
            tried["mount"] = outcome(call, "mount", b"none", b"/", b"tmpfs", 0, None)
            tried["remount"] = outcome(call, "mount", None, b"/" + ask["readable"].encode(), None, 32, None)
            tried["unmount"] = outcome(call, "umount2", b"/" + ask["readable"].encode(), 2)
            tried["chroot"] = outcome(os.chroot, ".")
            tried["write read-only"] = outcome(os.open, "/" + ask["readable"], os.O_RDWR)
            tried["chmod read-only"] = outcome(os.chmod, "/" + ask["readable"], 0o777)
            tried["execute"] = outcome(os.execv, "/" + ask["writable"], ["x"])
            for name, flag in {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000}.items():
                tried["unshare " + name] = outcome(call, "unshare", flag)
            tried["more descriptors"] = outcome(resource.setrlimit, resource.RLIMIT_NOFILE, (4096, 4096))
            tried["cores"] = outcome(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))
            tried["host name"] = outcome(call, "sethostname", b"x", 1)
            tried["clock"] = outcome(call, "settimeofday", b"\\0" * 16, None)
            return tried

        for line in channel.makefile("r"):
            ask = json.loads(line)
            answer = {
                "attempts": attempts(ask),
                "root": listing("/"), "above": listing("/.."), "devices": listing("/dev"), "processes": listing("/proc"),
                "users": list(os.getresuid()) + list(os.getresgid()), "groups": os.getgroups(),
                "pids": [os.getpid(), os.getppid()], "descriptors": opened(),
                "interfaces": [name for _, name in socket.if_nameindex()],
                "environment": sorted(os.environ), "host": os.uname().nodename,
                "writes": outcome(os.open, "/" + ask["writable"], os.O_RDWR),
                "reads": outcome(os.open, "/" + ask["readable"], os.O_RDONLY),
            }
            channel.sendall((json.dumps(answer) + "\\n").encode())
        """

    /// What it is to try.
    struct Question: Encodable {
        /// Files of the host, absolute.
        var paths: [String]
        var sockets: [String]
        /// A Unix socket of the host that has a name and no file.
        var abstract: String
        /// A port on the host's loopback that answers.
        var port: Int
        /// Processes of the host.
        var pids: [Int32]
        /// Files that it was given.
        var writable: String
        var readable: String
    }

    /// What it found.
    struct Answer: Decodable {
        var attempts: [String: String]
        var root: [String]
        var above: [String]
        var devices: [String]
        var processes: [String]
        /// Real, effective and saved user, then group.
        var users: [UInt32]
        var groups: [UInt32]
        /// Its own and its parent's.
        var pids: [Int32]
        var descriptors: [Int32]
        var interfaces: [String]
        var environment: [String]
        var host: String
        var writes: String
        var reads: String
    }
}

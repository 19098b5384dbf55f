internal import LinuxSystem
internal import SandboxModel

#if canImport(Glibc)
internal import Glibc
#endif

/// Looks at the places to listen on before the server binds them, so that it can say what is in the way.
enum ListenSockets {
    /// Makes the run directory private and removes the socket of a server that is no more.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` if another server answers there, or something else is in the way.
    static func prepareUnixSocket(directory: String, path: String) throws(SandboxError) {
        if mkdir(directory, 0o700) != 0, errno != EEXIST { throw problem(directory) }
        guard chmod(directory, 0o700) == 0 else { throw problem(directory) }
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw SandboxError(.unavailable, "\(path) is in the way and is not a socket.", hint: "remove it")
        }
        if UnixSocketProbe.accepts(path) {
            throw SandboxError(
                .unavailable, "Another server listens on \(path).", hint: "stop it, or use another --run-dir")
        }
        unlink(path)
    }

    private static func problem(_ path: String) -> SandboxError {
        SandboxError(.unavailable, "\(path) cannot be used: \(String(cString: strerror(errno))).", hint: "run as root")
    }

    /// What a failed bind means.
    static func explain(_ error: any Error, _ address: String) -> SandboxError {
        let text = "\(error)"
        if text.contains("errno: \(EADDRINUSE)") {
            return SandboxError(
                .unavailable, "\(address) is in use by another program.", hint: "stop that, or use another --listen",
                cause: error)
        }
        if text.contains("errno: \(EADDRNOTAVAIL)") {
            return SandboxError(.unavailable, "This machine does not have the address \(address).", cause: error)
        }
        return SandboxError(.unavailable, "The server cannot listen on \(address).", cause: error)
    }

    /// Every connection needs a descriptor; the default bound of 1,024 is for other times.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

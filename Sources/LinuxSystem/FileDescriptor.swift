internal import CLinux
internal import Glibc
internal import Synchronization

/// Owns one file descriptor and closes it at the latest when it is released.
public final class FileDescriptor: Sendable {
    private let state: Mutex<Int32>

    /// Takes ownership of an open descriptor.
    public init(owning descriptor: Int32) { state = Mutex(descriptor) }

    deinit { close() }

    /// The descriptor, for a call that does not outlive this object; -1 once it is closed or taken.
    public var raw: Int32 { state.withLock { $0 } }

    /// Closes it; nothing happens if it is closed or taken already.
    public func close() {
        let descriptor = take()
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Hands ownership to the caller; -1 if it is closed or taken already.
    public func take() -> Int32 {
        state.withLock { descriptor in
            defer { descriptor = -1 }
            return descriptor
        }
    }

    /// A second descriptor of the same open file, close-on-exec.
    public func duplicate() throws(SystemError) -> FileDescriptor {
        let copy = nj_duplicate(raw)
        guard copy >= 0 else { throw SystemError(-copy, "dup") }
        return FileDescriptor(owning: copy)
    }

    /// Opens a file, close-on-exec.
    ///
    /// - Parameters:
    ///   - flags: As for `open(2)`.
    ///   - directory: What a relative path starts at; `nil`: the working directory.
    public static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, at directory: FileDescriptor? = nil
    ) throws(SystemError) -> FileDescriptor {
        let descriptor = nj_open_at(directory?.raw ?? AT_FDCWD, path, flags, mode)
        guard descriptor >= 0 else { throw SystemError(-descriptor, "open", path) }
        return FileDescriptor(owning: descriptor)
    }

    /// A pipe, both ends close-on-exec.
    public static func pipe() throws(SystemError) -> (reading: FileDescriptor, writing: FileDescriptor) {
        var ends: [Int32] = [-1, -1]
        let error = nj_pipe(&ends)
        guard error == 0 else { throw SystemError(error, "pipe") }
        return (FileDescriptor(owning: ends[0]), FileDescriptor(owning: ends[1]))
    }

    /// Two connected stream sockets, close-on-exec.
    public static func socketPair() throws(SystemError) -> (FileDescriptor, FileDescriptor) {
        var ends: [Int32] = [-1, -1]
        let error = nj_socket_pair(&ends)
        guard error == 0 else { throw SystemError(error, "socketpair") }
        return (FileDescriptor(owning: ends[0]), FileDescriptor(owning: ends[1]))
    }

    /// Makes reads and writes return at once instead of waiting, or wait again.
    public func setNonblocking(_ on: Bool) throws(SystemError) {
        let error = nj_set_nonblocking(raw, on ? 1 : 0)
        if error != 0 { throw SystemError(error, "fcntl") }
    }
}

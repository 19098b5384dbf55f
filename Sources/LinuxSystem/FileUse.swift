internal import CLinux
internal import Glibc

/// Who has a file open.
public enum FileUse {
    /// Waits until nobody else has a file open, no loop device either. It blocks: run it in a ``BlockingPool``.
    ///
    /// - Throws: ``SystemError`` with `EBUSY` when the time is over.
    public static func awaitSole(_ path: String, milliseconds: Int32) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_RDWR | O_NOFOLLOW)
        let error = nj_await_sole_use(file.raw, milliseconds)
        guard error == 0 else { throw SystemError(error, "use", path) }
    }
}

internal import CLinux
internal import Glibc

/// Names in a directory.
public enum DirectoryListing {
    /// Without `.` and `..`, in no order. Names that are not UTF-8 are repaired: use ``entries(_:)`` to act on them.
    public static func names(_ path: String) throws(SystemError) -> [String] {
        let directory = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        return try entries(directory).map { String(decoding: $0.name, as: UTF8.self) }
    }

    /// One entry of a directory.
    struct Entry {
        /// Without the NUL.
        var name: [UInt8]
        var isDirectory: Bool?
    }

    /// Reads an open directory from its start: all of it, or so many entries.
    static func entries(_ directory: FileDescriptor, limit: Int = .max) throws(SystemError) -> [Entry] {
        var found: [Entry] = []
        try forEach(directory) { entry in
            found.append(entry)
            return found.count < limit
        }
        return found
    }

    /// Reads an open directory from its start, entry by entry, as long as `body` returns `true`. A guest may make
    /// millions of them, so they are not gathered.
    static func forEach(
        _ directory: FileDescriptor, _ body: (Entry) throws(SystemError) -> Bool
    ) throws(SystemError) {
        let copy = nj_open_at(directory.raw, ".", O_RDONLY | O_DIRECTORY, 0)
        guard copy >= 0 else { throw SystemError(-copy, "open") }
        guard let stream = fdopendir(copy) else {
            close(copy)
            throw SystemError.last("fdopendir")
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name == [0x2E] || name == [0x2E, 0x2E] { continue }
            let kind = Int32(entry.pointee.d_type)
            guard try body(Entry(name: name, isDirectory: kind == DT_UNKNOWN ? nil : kind == DT_DIR)) else { return }
        }
    }
}

internal import CLinux
internal import Glibc

/// Whole small files, such as those of `/proc` and `/etc`.
enum SmallFile {
    /// The contents, cut at `maximum` bytes; `nil` if it cannot be read. Never waits for a FIFO's writer.
    static func read(_ path: String, maximum: Int = 1 << 20) -> [UInt8]? {
        let descriptor = nj_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return contents(of: descriptor, maximum: maximum)
    }

    static func contents(of descriptor: Int32, maximum: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < maximum {
            let room = min(max(4096, bytes.count), maximum - bytes.count)
            var count = 0
            let part = [UInt8](unsafeUninitializedCapacity: room) { buffer, initialized in
                count = retrying { Glibc.read(descriptor, buffer.baseAddress, room) }
                initialized = max(0, count)
            }
            if count < 0 { return nil }
            if count == 0 { break }
            bytes += part
        }
        return bytes
    }

    /// Writes a text into an existing file, as the kernel's own files want it; `false` sets `errno`.
    static func write(_ text: String, to path: String) -> Bool {
        let descriptor = nj_openat(AT_FDCWD, path, O_WRONLY, 0)
        guard descriptor >= 0 else { return false }
        let bytes = Array(text.utf8)
        let count = retrying { Glibc.write(descriptor, bytes, bytes.count) }
        let error = errno
        close(descriptor)
        errno = error
        return count == bytes.count
    }

    /// The target of a symbolic link; `nil` if it is none.
    static func link(_ path: String) -> [UInt8]? { link(AT_FDCWD, Array(path.utf8)) }

    static func link(_ directory: Int32, _ path: [UInt8]) -> [UInt8]? {
        var length = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Path.maximumLength) { buffer, initialized in
            length = path.withCPath { path in
                buffer.withMemoryRebound(to: CChar.self) { target in
                    target.baseAddress.map { readlinkat(directory, path, $0, target.count) } ?? -1
                }
            }
            initialized = max(0, length)
        }
        return length < 0 ? nil : bytes
    }

    /// Names in a directory, without `.` and `..`, unsorted; `nil` if it cannot be read. Takes over the descriptor.
    static func names(takingOver descriptor: Int32) -> [[UInt8]]? {
        guard let directory = fdopendir(descriptor) else {
            close(descriptor)
            return nil
        }
        defer { closedir(directory) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else { return errno == 0 ? names : nil }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: UInt8.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: strnlen(tuple, 256)))
                }
            }
            if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
        }
    }

    static func names(in path: String) -> [[UInt8]] {
        let descriptor = nj_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        return descriptor < 0 ? [] : names(takingOver: descriptor) ?? []
    }
}

private func strnlen(_ pointer: UnsafePointer<some Any>, _ maximum: Int) -> Int {
    Glibc.strnlen(UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self), maximum)
}

internal import CLinux
internal import Glibc

/// Calls `body` with a C array of C strings that ends with NULL.
func withCStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return body(copies)
}

/// Calls `body` with a C array of C strings for each list, each array ending with NULL.
func withCStringLists<R>(_ lists: [[String]], _ body: ([UnsafePointer<UnsafeMutablePointer<CChar>?>]) -> R) -> R {
    let arrays = lists.map { list in
        let array = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: list.count + 1)
        for (index, text) in list.enumerated() { (array + index).initialize(to: strdup(text)) }
        (array + list.count).initialize(to: nil)
        return array
    }
    defer {
        for (array, list) in zip(arrays, lists) {
            for index in list.indices { free(array[index]) }
            array.deallocate()
        }
    }
    return body(arrays.map { UnsafePointer($0) })
}

/// The same array for what does not change the strings.
func constant(_ array: UnsafePointer<UnsafeMutablePointer<CChar>?>) -> UnsafePointer<UnsafePointer<CChar>?> {
    UnsafeRawPointer(array).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
}

/// A small file's bytes; empty if it cannot be read.
func readFile(_ path: String, limit: Int = 1 << 16) -> [UInt8] {
    let file = nj_open_at(AT_FDCWD, path, O_RDONLY, 0)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes: [UInt8] = []
    while bytes.count < limit, let part = readSome(file, 4096), !part.isEmpty { bytes += part }
    return bytes
}

/// What can be read at once; empty at the end, `nil` on an error (or if nothing is there yet).
func readSome(_ descriptor: Int32, _ count: Int) -> [UInt8]? {
    var result = -1
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        repeat { result = read(descriptor, buffer.baseAddress, count) } while result < 0 && errno == EINTR
        filled = max(result, 0)
    }
    return result < 0 ? nil : bytes
}

/// Replaces a file's contents in one step.
func replaceFile(_ path: String, _ text: String) {
    let temporary = path + ".new"
    writeFile(temporary, text, O_WRONLY | O_CREAT | O_TRUNC)
    rename(temporary, path)
}

/// Writes a text into a file as it is; errors do not matter to the callers.
func writeFile(_ path: String, _ text: String, _ flags: Int32 = O_WRONLY) {
    let file = nj_open_at(AT_FDCWD, path, flags, 0o600)
    guard file >= 0 else { return }
    let bytes = Array(text.utf8)
    _ = write(file, bytes, bytes.count)
    close(file)
}

/// Names in a directory.
func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { found.append(name) }
    }
    return found
}

/// Removes a directory of ours with all that is in it, its file `last` after everything else. The sandbox's guest
/// never wrote here.
func removeTree(_ directory: String, last: String? = nil) {
    for name in names(in: directory) where name != last {
        let path = directory + "/" + name
        if unlink(path) < 0 { removeTree(path) }
    }
    if let last { unlink(directory + "/" + last) }
    rmdir(directory)
}

/// Facts of one process that its pid alone does not pin down.
struct ProcessFact {
    var parent: Int32
    var startTime: String

    init?(_ pid: Int32) {
        let text = String(decoding: readFile("/proc/\(pid)/stat"), as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let parent = Int32(fields[1]) else { return nil }
        self.parent = parent
        startTime = String(fields[19])
    }
}

/// This process's children, each with the first word of its command line.
func children() -> [(pid: Int32, name: String)] {
    childIdentifiers().map { pid in
        let line = readFile("/proc/\(pid)/cmdline").split(separator: 0, maxSplits: 1)
        return (pid, line.first.map { String(decoding: $0, as: UTF8.self) } ?? "")
    }
}

private func childIdentifiers() -> [Int32] {
    let own = getpid()
    let list = "/proc/self/task/\(own)/children"
    // Kernels without that file make us look at every process.
    guard access(list, R_OK) == 0 else {
        return names(in: "/proc").compactMap { Int32($0) }.filter { ProcessFact($0)?.parent == own }
    }
    return String(decoding: readFile(list), as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
}

/// A frozen process of a cgroup of version 1 does not even end by SIGKILL.
func thaw(_ cgroups: [String]) {
    for cgroup in cgroups {
        let file = cgroup + "/freezer.state"
        if access(file, F_OK) == 0 { writeFile(file, "THAWED") }
    }
}

/// For the log of the slot: at most a few lines in its life.
func note(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = write(2, bytes, bytes.count)
}

/// What failed, in a step that C names.
func describe(_ step: [CChar], _ error: Int32) -> String {
    let name = String(decoding: step.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return "\(name): \(String(cString: strerror(error)))"
}

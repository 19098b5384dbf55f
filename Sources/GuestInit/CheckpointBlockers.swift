internal import CLinux
internal import Glibc
internal import Wire

/// Finds files that are deleted but still in use on a file system that the host serves. gVisor cannot save those, and a
/// checkpoint that meets one kills the sandbox. Runs on a worker thread.
struct CheckpointBlockers {
    private static let maximumLines = 256
    private static let suffix = Array(" (deleted)".utf8)
    /// File systems whose contents are saved with the guest's memory.
    private static let memoryTypes: Set<String> = [
        "tmpfs", "ramfs", "devtmpfs", "devpts", "proc", "sysfs", "mqueue", "cgroup", "cgroup2", "overlay-memory",
    ]

    private let mounts: [(path: [UInt8], inMemory: Bool)]
    private var lines: [String] = []

    init(mounts bytes: [UInt8]) {
        mounts = bytes.split(separator: 10).compactMap { line in
            let fields = line.split(separator: 32)
            guard fields.count >= 3 else { return nil }
            let type = String(decoding: fields[2], as: UTF8.self)
            return (Self.unescaped(fields[1]), Self.memoryTypes.contains(type))
        }
    }

    static func find() -> [String] {
        var blockers = CheckpointBlockers(mounts: SmallFile.read("/proc/mounts") ?? [])
        for pid in ProcStat.pids() where blockers.lines.count < maximumLines { blockers.look(at: pid) }
        return blockers.lines
    }

    private mutating func look(at pid: UInt32) {
        let path = "/proc/\(pid)"
        var found: [[UInt8]] = []
        for name in ["cwd", "root", "exe"] {
            if let target = SmallFile.link("\(path)/\(name)"), blocks(target) { found.append(target) }
        }
        for name in SmallFile.names(in: path + "/fd") {
            let link = Array("\(path)/fd/".utf8) + name
            if let target = SmallFile.link(AT_FDCWD, link), blocks(target) { found.append(target) }
        }
        if let maps = SmallFile.read(path + "/maps", maximum: 8 << 20) {
            for line in maps.split(separator: 10) where line.suffix(Self.suffix.count).elementsEqual(Self.suffix) {
                guard let start = line.firstIndex(of: Path.slash) else { continue }
                let target = Array(line[start...])
                if blocks(target) { found.append(target) }
            }
        }
        guard !found.isEmpty else { return }
        let command = SmallFile.read(path + "/comm", maximum: 64).map { Path.display($0.filter { $0 > 32 }) } ?? "?"
        for target in Set(found).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let name = Path.display(Array(target.dropLast(Self.suffix.count)))
            lines.append("pid \(pid) (\(command)) holds the deleted file \(name)")
        }
    }

    /// Whether a link or mapping with this target stands in the way of a checkpoint.
    func blocks(_ target: [UInt8]) -> Bool {
        guard target.first == Path.slash, target.suffix(Self.suffix.count).elementsEqual(Self.suffix) else {
            return false
        }
        let path = Array(target.dropLast(Self.suffix.count))
        // Shared anonymous memory and memory files have names, but no file system.
        let text = String(decoding: path, as: UTF8.self)
        if text == "/dev/zero" || text.hasPrefix("/memfd:") || text.hasPrefix("/SYSV") { return false }
        return !isInMemory(path)
    }

    /// Decided by the deepest mount, the latest of several at one place.
    private func isInMemory(_ path: [UInt8]) -> Bool {
        var best = -1
        var inMemory = false
        for mount in mounts {
            let isAbove =
                mount.path == [Path.slash] || path == mount.path || path.starts(with: mount.path + [Path.slash])
            if isAbove, mount.path.count >= best {
                best = mount.path.count
                inMemory = mount.inMemory
            }
        }
        return inMemory
    }

    /// `/proc/mounts` writes blanks as `\040`.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                result.append(value)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return result
    }
}

internal import Foundation

/// A process of this machine, told apart from a later one with the same number.
struct HostProcess: Sendable, Hashable {
    var pid: Int
    var startTime: String
    var parent: Int
    var name: String

    /// Reads `/proc/PID/stat`; `nil` if there is no such process.
    init?(pid: Int) {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 19, let parent = Int(fields[1]) else { return nil }
        self.pid = pid
        self.parent = parent
        name = String(text[text.index(after: open)..<close])
        startTime = String(fields[19])
    }

    var isThere: Bool { HostProcess(pid: pid) == self }
}

/// What `/proc` of this machine knows of a sandbox.
enum HostView {
    private static let shimName = "nightjar-shim"

    static func all() -> [HostProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int($0) }.compactMap { HostProcess(pid: $0) }
    }

    /// The processes that belong to a sandbox: those in whose mounts, arguments or control group its id occurs, their
    /// shim, and all that descend from it. This process and the server are not looked at.
    static func processes(of id: String) -> [HostProcess] {
        let all = all()
        let byPID = Dictionary(all.map { ($0.pid, $0) }, uniquingKeysWith: { first, _ in first })
        let own = ProcessInfo.processInfo.processIdentifier
        var roots = Set<Int>()
        for process in all where process.pid != Int(own) && process.name != "nightjar" && mentions(id, process.pid) {
            let parent = byPID[process.parent]
            roots.insert(parent?.name == shimName ? process.parent : process.pid)
        }
        var found = roots
        var isGrowing = true
        while isGrowing {
            let children = all.filter { found.contains($0.parent) && !found.contains($0.pid) }
            found.formUnion(children.map(\.pid))
            isGrowing = !children.isEmpty
        }
        return all.filter { found.contains($0.pid) }.sorted { $0.pid < $1.pid }
    }

    private static func mentions(_ id: String, _ pid: Int) -> Bool {
        ["mountinfo", "cmdline", "cgroup"].contains { file in
            guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") else { return false }
            return data.range(of: Data(id.utf8)) != nil
        }
    }

    /// Bytes of RAM that are free or can be made free at once.
    static func availableMemory() -> Int64? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int64($0) })
        else { return nil }
        return kibibytes * 1024
    }
}

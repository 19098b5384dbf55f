internal import Foundation

/// A process of this machine, told apart from a later one with the same number.
struct HostProcess: Sendable, Hashable {
    var pid: Int
    var startTime: String
    var parent: Int
    var name: String

    /// Reads `/proc/PID/stat`; `nil` if there is no such process.
    init?(pid: Int) {
        guard let (name, fields) = Self.stat(pid), fields.count > 19, let parent = Int(fields[1]) else { return nil }
        self.pid = pid
        self.parent = parent
        self.name = name
        startTime = String(fields[19])
    }

    /// The name, and what follows it: the first field is the third of proc_pid_stat(5).
    static func stat(_ pid: Int) -> (name: String, fields: [Substring])? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
        else { return nil }
        return (
            String(text[text.index(after: open)..<close]), text[text.index(after: close)...].split(separator: " ")
        )
    }

    var isThere: Bool { HostProcess(pid: pid) == self }
}

/// What `/proc` of this machine knows of a sandbox.
enum HostView {
    static func all() -> [HostProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int($0) }.compactMap { HostProcess(pid: $0) }
    }

    /// The processes of a sandbox: its shim, which has the sandbox's id in its slot's folder, and all that descend from
    /// it. Works whatever the server says.
    static func processes(of id: String) -> [HostProcess] {
        let all = all()
        var found = Set(all.filter { isShim($0.pid, of: id) }.map(\.pid))
        var isGrowing = true
        while isGrowing {
            let children = all.filter { found.contains($0.parent) && !found.contains($0.pid) }
            found.formUnion(children.map(\.pid))
            isGrowing = !children.isEmpty
        }
        return all.filter { found.contains($0.pid) }.sorted { $0.pid < $1.pid }
    }

    private static func isShim(_ pid: Int, of id: String) -> Bool {
        let words = arguments(pid)
        guard let program = words.first, program.hasSuffix("/nightjar-shim"),
            let option = words.firstIndex(of: "--slot"), option + 1 < words.count
        else { return false }
        let assignment = FileManager.default.contents(atPath: words[option + 1] + "/assigned") ?? Data()
        return assignment.range(of: Data(id.utf8)) != nil
    }

    private static func arguments(_ pid: Int) -> [String] {
        let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The name that a process goes by: of its first argument, since runsc's own name is always the same.
    static func title(_ process: HostProcess) -> String {
        let program = arguments(process.pid).first.flatMap { $0.split(separator: "/").last.map(String.init) }
        return program ?? process.name
    }

    /// Pages in memory, in KiB.
    struct Pages {
        /// A page of `n` processes counts as the `n`th part of it in each.
        var proportional = 0
        var resident = 0
        /// Of pages that no other process has.
        var own = 0
    }

    /// The pages of a sandbox's processes. Needs root.
    static func pages(of id: String) -> Pages {
        var pages = Pages()
        for process in processes(of: id) {
            let text = try? String(contentsOfFile: "/proc/\(process.pid)/smaps_rollup", encoding: .utf8)
            for line in (text ?? "").split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count >= 2, let kibibytes = Int(words[1]) else { continue }
                switch words[0] {
                case "Pss:": pages.proportional += kibibytes
                case "Rss:": pages.resident += kibibytes
                case "Private_Clean:", "Private_Dirty:": pages.own += kibibytes
                default: break
                }
            }
        }
        return pages
    }

    /// CPU time of a sandbox's processes, in steps of 10 ms for each.
    static func cpuSeconds(of id: String) -> Double {
        let ticks = processes(of: id).reduce(0) { sum, process in
            // utime and stime.
            guard let fields = HostProcess.stat(process.pid)?.fields, fields.count > 12 else { return sum }
            return sum + (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
        }
        return Double(ticks) / Double(sysconf(Int32(_SC_CLK_TCK)))
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

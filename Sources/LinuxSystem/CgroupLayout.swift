internal import Glibc
internal import SandboxModel

/// Where the kernel's control groups are mounted on this machine.
///
/// Version 1 has a hierarchy per controller, version 2 one for all. On machines that mount both, each controller is
/// used where it is: a controller belongs to one of them at a time.
public struct CgroupLayout: Sendable, Hashable {
    /// A controller of the two versions' common names; in version 2 `cpuacct` is part of `cpu`, and every group can be
    /// frozen without a controller.
    public enum Controller: String, Sendable, Hashable, CaseIterable {
        case memory, cpu, cpuacct, pids, freezer
    }

    /// Mount points of version 1, by controller.
    public var version1: [Controller: String]
    /// Mount point of version 2 with the controllers that it offers.
    public var version2: String?
    public var version2Controllers: Set<Controller>

    public init(version1: [Controller: String], version2: String?, version2Controllers: Set<Controller>) {
        self.version1 = version1
        self.version2 = version2
        self.version2Controllers = version2Controllers
    }

    /// Reads this machine's layout from `/proc/self/mountinfo`.
    public static func current() -> CgroupLayout {
        parse((try? TextFile.read("/proc/self/mountinfo", limit: 1 << 20)) ?? "") { mountPoint in
            let names = (try? TextFile.read(mountPoint + "/cgroup.controllers")) ?? ""
            return Set(names.split(whereSeparator: \.isWhitespace).compactMap { Controller(rawValue: String($0)) })
        }
    }

    static func parse(_ mountInfo: String, controllers: (String) -> Set<Controller>) -> CgroupLayout {
        var layout = CgroupLayout(version1: [:], version2: nil, version2Controllers: [])
        for line in mountInfo.split(separator: "\n") {
            // … root mount-point options - type source super-options
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 3 < fields.count, fields.count > 4 else { continue }
            let mountPoint = String(fields[4])
            if fields[dash + 1] == "cgroup2", layout.version2 == nil {
                layout.version2 = mountPoint
                layout.version2Controllers = controllers(mountPoint)
            } else if fields[dash + 1] == "cgroup" {
                for option in fields[dash + 3].split(separator: ",") {
                    guard let controller = Controller(rawValue: String(option)) else { continue }
                    if layout.version1[controller] == nil { layout.version1[controller] = mountPoint }
                }
            }
        }
        return layout
    }

    /// What keeps limits of memory, CPU and processes from being enforced; `nil` if they can be.
    public var obstacle: String? {
        let missing = [Controller.memory, .cpu, .pids].filter {
            version1[$0] == nil && !version2Controllers.contains($0)
        }
        if missing.isEmpty { return nil }
        return "the kernel offers no cgroup controller for \(missing.map(\.rawValue).joined(separator: ", "))"
    }
}

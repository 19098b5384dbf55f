/// The shim's command line, for a sandbox of gVisor:
/// `nightjar-shim --slot DIR --mount-point DIR [--cgroup DIR]… [--patience SECONDS] -- RUNSC ARGUMENT…`,
/// and for a program in a jail:
/// `nightjar-shim --slot DIR --jail UID [--device PATH]… [--environment NAME=VALUE]… [--cgroup DIR]…
/// [--patience SECONDS] -- PROGRAM ARGUMENT…`.
struct ShimArguments {
    enum Kind: Equatable {
        /// An empty directory of the generic root, absolute within it.
        case gVisor(mountPoint: String)
        case jail(Jail)
    }

    struct Jail: Equatable {
        /// User and group of the program; not 0.
        var user: UInt32
        /// Device files that it may use.
        var devices: [String] = []
        /// All of its environment.
        var environment: [String] = []
    }

    /// The slot's folder, absolute.
    var slot = ""
    var kind: Kind
    /// Absolute directories, one per hierarchy; removed at the end.
    var cgroups: [String] = []
    /// How long a slot that no sandbox was put on waits for a server to come back, in seconds.
    var patience = 60
    /// The command that creates the sandbox, or is it.
    var command: [String] = []

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        var mountPoint: String?
        var jail: Jail?
        var devices: [String] = []
        var environment: [String] = []
        while let option = rest.popFirst() {
            if option == "--" {
                command = Array(rest)
                break
            }
            guard let value = rest.popFirst() else { return nil }
            switch option {
            case "--slot" where Self.isAbsolute(value): slot = value
            case "--mount-point" where Self.isAbsolute(value): mountPoint = value
            case "--cgroup" where Self.isAbsolute(value): cgroups.append(value)
            case "--device" where value.utf8.starts(with: "/dev/".utf8): devices.append(value)
            case "--environment" where Self.isVariable(value): environment.append(value)
            case "--patience":
                guard let seconds = Int(value), (1...3600).contains(seconds) else { return nil }
                patience = seconds
            case "--jail":
                guard let user = UInt32(value), user != 0, user != .max else { return nil }
                jail = Jail(user: user)
            default: return nil
            }
        }
        jail?.devices = devices
        jail?.environment = environment
        switch (mountPoint, jail) {
        case (let mountPoint?, nil) where devices.isEmpty && environment.isEmpty:
            kind = .gVisor(mountPoint: mountPoint)
        case (nil, let jail?): kind = .jail(jail)
        default: return nil
        }
        guard !slot.isEmpty, !command.isEmpty else { return nil }
    }

    private static func isAbsolute(_ path: String) -> Bool { path.utf8.first == 0x2F }

    private static func isVariable(_ text: String) -> Bool {
        text.utf8.firstIndex(of: 0x3D).map { $0 != text.utf8.startIndex } ?? false
    }
}

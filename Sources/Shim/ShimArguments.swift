/// The shim's command line:
/// `nightjar-shim --slot DIR --mount-point DIR [--cgroup DIR]… [--patience SECONDS] -- RUNSC ARGUMENT…`.
struct ShimArguments {
    /// The slot's folder, absolute.
    var slot = ""
    /// An empty directory of the generic root, absolute within it.
    var mountPoint = ""
    /// Absolute directories, one per hierarchy; removed at the end.
    var cgroups: [String] = []
    /// How long a slot that no sandbox was put on waits for a server to come back, in seconds.
    var patience = 60
    /// The command that creates the sandbox.
    var command: [String] = []

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let option = rest.popFirst() {
            if option == "--" {
                command = Array(rest)
                break
            }
            guard let value = rest.popFirst() else { return nil }
            if option == "--patience", let seconds = Int(value), (1...3600).contains(seconds) {
                patience = seconds
                continue
            }
            guard value.utf8.first == 0x2F else { return nil }
            switch option {
            case "--slot": slot = value
            case "--mount-point": mountPoint = value
            case "--cgroup": cgroups.append(value)
            default: return nil
            }
        }
        guard !slot.isEmpty, !mountPoint.isEmpty, !command.isEmpty else { return nil }
    }
}

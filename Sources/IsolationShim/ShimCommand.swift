/// What a shim is told to run.
public struct ShimCommand: Sendable {
    /// What kind of sandbox it is.
    public enum Kind: Sendable {
        /// A command that creates a sandbox of gVisor on an empty root.
        /// - `mountPoint`: A directory of that root, on which the sandbox's own root is put.
        case gVisor(mountPoint: String)
        /// A program in a jail.
        case jail(Jail)
    }

    /// What a jailed program gets besides the programs and libraries of the host.
    public struct Jail: Sendable {
        /// The user and group that it runs as, on the host; never 0.
        public var user: UInt32
        /// Device files that it may use, absolute: `/dev/kvm`.
        public var devices: [String]
        /// `NAME=VALUE`; it gets nothing else.
        public var environment: [String]

        public init(user: UInt32, devices: [String] = [], environment: [String] = []) {
            self.user = user
            self.devices = devices
            self.environment = environment
        }
    }

    public var kind: Kind
    /// The program, absolute, and its arguments.
    public var program: [String]
    /// How long a slot that nothing was put into waits for a server to come back; 1 s to 1 h.
    public var patience: Duration

    public init(_ kind: Kind, program: [String], patience: Duration = .seconds(60)) {
        self.kind = kind
        self.program = program
        self.patience = patience
    }

    /// The shim's command line.
    func arguments(slot: String, cgroups: [String]) -> [String] {
        var arguments = ["--slot", slot]
        switch kind {
        case .gVisor(let mountPoint): arguments += ["--mount-point", mountPoint]
        case .jail(let jail):
            arguments += ["--jail", "\(jail.user)"]
            arguments += jail.devices.flatMap { ["--device", $0] }
            arguments += jail.environment.flatMap { ["--environment", $0] }
        }
        arguments += ["--patience", "\(max(1, min(3600, patience.components.seconds)))"]
        arguments += cgroups.flatMap { ["--cgroup", $0] }
        return arguments + ["--"] + program
    }
}

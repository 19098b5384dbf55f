internal import CLinux
internal import Glibc

/// A program in a jail: the monitor of a virtual machine.
///
/// Its descriptors: 0 `/dev/null`, 1 and 2 the pipe for its complaints, 3 its end of the guest's channel, 4 a listening
/// socket, `<slot>/qmp.sock`, over which it is controlled.
struct JailedSandbox: Sandbox {
    private let arguments: ShimArguments
    private let jail: ShimArguments.Jail
    private var sandbox: Int32 = 0
    private var files: [ShimFile] = []
    private var isSealed = false

    init(_ arguments: ShimArguments, _ jail: ShimArguments.Jail) {
        self.arguments = arguments
        self.jail = jail
    }

    var processes: [(name: String, pid: Int32)] { sandbox > 0 ? [("sandbox", sandbox)] : [] }

    var details: String {
        files.reduce("sealed \(isSealed ? 1 : 0)\n") { $0 + "file \($1.isWritable ? "w" : "r") \($1.name)\n" }
    }

    // MARK: Starting

    mutating func start(_ ends: GuestEnds) -> String? {
        let place = arguments.slot + "/root"
        guard mkdir(place, 0o700) == 0 else { return "cannot make \(place): \(String(cString: strerror(errno)))" }
        let null = nj_open_at(AT_FDCWD, "/dev/null", O_RDWR, 0)
        let control = nj_unix_socket(arguments.slot + "/qmp.sock", 1)
        defer { for descriptor in [null, control] where descriptor >= 0 { close(descriptor) } }
        if let failed = [null, control].first(where: { $0 < 0 }) {
            return "cannot prepare its descriptors: \(String(cString: strerror(-failed)))"
        }
        var step = [CChar](repeating: 0, count: 32)
        var error: Int32 = 0
        sandbox = start([null, ends.errors, ends.errors, ends.channel, control], place, &error, &step)
        return sandbox > 0 ? nil : "cannot jail \(arguments.command[0]): \(describe(step, error))"
    }

    private func start(_ descriptors: [Int32], _ place: String, _ error: inout Int32, _ step: inout [CChar]) -> Int32 {
        let groups = arguments.cgroups.map { $0 + "/cgroup.procs" }
        let lists = [[place], arguments.command, jail.environment, jail.devices, groups]
        return withCStringLists(lists) { lists in
            descriptors.withUnsafeBufferPointer { descriptors in
                var what = nj_jail()
                what.place = UnsafePointer(lists[0][0])
                what.user = jail.user
                what.argv = lists[1]
                what.envp = lists[2]
                what.devices = constant(lists[3])
                what.cgroups = constant(lists[4])
                what.descriptors = descriptors.baseAddress
                what.descriptor_count = descriptors.count
                return nj_jail_start(&what, &error, &step)
            }
        }
    }

    func settle(errors: [UInt8]) -> Settlement { .ready }

    func reaped(_ pid: Int32, status: Int32) -> Int32? {
        guard pid == sandbox else { return nil }
        note("the jailed program ended with status \(status)")
        return exitCode(status)
    }

    // MARK: Requests

    mutating func perform(
        _ operation: ShimOperation, _ payload: ArraySlice<UInt8>, _ state: Slot.State
    ) -> Outcome? {
        switch operation {
        case .attachFiles:
            guard let files = ShimFile.decode(payload) else { return .failed("the request is malformed") }
            return attach(files, state)
        case .seal: return seal(state)
        default: return nil
        }
    }

    private mutating func attach(_ new: [ShimFile], _ state: Slot.State) -> Outcome {
        guard state != .ended else { return .failed("the slot is \(state.rawValue)") }
        var step = [CChar](repeating: 0, count: 32)
        let error = withCStrings(new.flatMap { [$0.path, $0.name] }) { strings in
            let files = new.indices.map { index in
                nj_jail_file(
                    path: strings[2 * index], name: strings[2 * index + 1], is_writable: new[index].isWritable ? 1 : 0)
            }
            return nj_jail_attach(sandbox, jail.user, files, files.count, &step)
        }
        guard error == 0 else { return .failed(describe(step, error)) }
        files += new
        return Outcome(isAttached: true)
    }

    private mutating func seal(_ state: Slot.State) -> Outcome {
        guard state != .ended else { return .failed("the slot is \(state.rawValue)") }
        var step = [CChar](repeating: 0, count: 32)
        let error = nj_jail_seal(sandbox, &step)
        guard error == 0 else { return .failed(describe(step, error)) }
        isSealed = true
        return Outcome()
    }
}

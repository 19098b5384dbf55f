internal import CLinux
internal import Glibc

/// What went wrong while a machine was brought up.
struct MachineFailure: Error {
    var step: String
    var errno: Int32

    init(_ step: String, _ errno: Int32) {
        self.step = step
        self.errno = errno
    }

    /// Throws if the result of a step is an errno.
    static func check(_ errno: Int32, _ step: @autoclosure () -> String) throws(MachineFailure) {
        if errno != 0 { throw MachineFailure(step(), errno) }
    }

    var text: String { errno == 0 ? step : "\(step): \(SystemError.text(errno))" }
}

/// A machine of the sandbox's own: the init is the first process of a kernel that serves nobody else. It begins in the
/// initramfs, where it finds modules and nothing else, and brings the machine up to the point where the init of any
/// sandbox begins: its root, its file systems, and the channel as descriptors 0 and 1.
///
/// Whatever fails on the way, the machine says so on its console and turns itself off: nobody waits for it in vain.
final class Machine {
    /// How the kernel calls the first process out of an initramfs. Elsewhere the init has another name.
    private static let initName = "/init"
    private static let portName = "nightjar"
    /// What a process may open, and how many processes a user may have, unless the host says otherwise: as with gVisor.
    private static let openFiles: rlim_t = 1 << 20
    private static let hostname = "sandbox"

    /// A directory of the file system with the writable layer.
    private let layer: Int32

    private init(layer: Int32) { self.layer = layer }

    /// Brings up the machine if this is one; `nil` if it is not.
    static func bringUp(log: Log) -> Machine? {
        guard CommandLine.arguments.first == initName, access(KernelModules.order, F_OK) == 0 else { return nil }
        do throws(MachineFailure) {
            try MachineRoot.mountKernelFiles()
            openConsole()
            try KernelModules.load(log: log)
            let devices = MachineDevices()
            let port = try devices.port(named: portName)
            let layer = try MachineRoot.build(
                template: try devices.disk(serial: "template"), layer: try devices.disk(serial: "layer"))
            try openChannel(port)
            setUp()
            return Machine(layer: layer)
        } catch {
            log.line("the machine cannot be brought up: \(error.text)")
            turnOff()
        }
    }

    /// Log lines go to the console; one that cannot take them at once does not get them.
    private static func openConsole() {
        let flags = O_WRONLY | O_NOCTTY | O_NONBLOCK
        var console = nj_openat(AT_FDCWD, "/dev/console", flags, 0)
        if console < 0 { console = nj_openat(AT_FDCWD, "/dev/kmsg", flags, 0) }
        guard console >= 0 else { return }
        dup2(console, 2)
        if console > 2 { close(console) }
    }

    private static func openChannel(_ path: String) throws(MachineFailure) {
        let port = nj_openat(AT_FDCWD, path, O_RDWR | O_NONBLOCK, 0)
        guard port >= 0 else { throw MachineFailure("channel \(path)", errno) }
        for descriptor in Int32(0)...1 where dup2(port, descriptor) < 0 { throw MachineFailure("channel", errno) }
        if port > 2 { close(port) }
    }

    private static func setUp() {
        for resource in [(RLIMIT_NOFILE, openFiles), (__RLIMIT_NPROC, rlim_t.max)] {
            var limit = rlimit(rlim_cur: resource.1, rlim_max: resource.1)
            setrlimit(__rlimit_resource_t(resource.0.rawValue), &limit)
        }
        sethostname(hostname, hostname.utf8.count)
    }

    /// The end, once no process is left. What the sandbox wrote is on its disk then, and whole.
    func end(log: Log) -> Never {
        let error = nj_freeze_file_system(layer)
        if error != 0 {
            log.line("the layer is not closed: \(SystemError.text(error))")
            sync()
        }
        Machine.turnOff()
    }

    private static func turnOff() -> Never {
        nj_power_off()
        exit(70)
    }
}

internal import CLinux
internal import Glibc

/// The modules in the initramfs.
enum KernelModules {
    /// Names of files beside it, one in each line, in the order in which they can be loaded.
    static let order = "/modules/order"
    private static let directory = "/modules/"
    private static let sealed = "/proc/sys/kernel/modules_disabled"

    /// Loads all of them and removes them from memory. After that no module can be loaded any more, as in gVisor.
    static func load(log: Log) throws(MachineFailure) {
        guard let bytes = SmallFile.read(order) else { throw MachineFailure("list of modules", errno) }
        for line in bytes.split(separator: 10) {
            let name = String(decoding: line, as: UTF8.self)
            let error = nj_load_module(directory + name)
            // Some are for processors that have an instruction, and say so of others.
            if error != 0, error != EEXIST, error != ENODEV { throw MachineFailure("module \(name)", error) }
            unlink(directory + name)
        }
        unlink(order)
        rmdir(directory)
        if !SmallFile.write("1", to: sealed) { log.line("modules are not sealed: \(SystemError.text(errno))") }
    }
}

internal import CLinux
internal import Glibc

/// Finds the machine's devices by the names that the host gave them: the order in which a kernel numbers them is nobody's
/// promise. They may appear a while after their driver.
final class MachineDevices {
    private static let deadlineMilliseconds: Int64 = 20_000
    private static let lookMicroseconds: UInt32 = 500

    private let deadline = EventLoop.now() + MachineDevices.deadlineMilliseconds

    /// Path of the disk with this serial number.
    func disk(serial: String) throws(MachineFailure) -> String {
        try find(in: "/sys/block", attribute: "serial", equals: serial)
    }

    /// Path of the serial port with this name.
    func port(named name: String) throws(MachineFailure) -> String {
        try find(in: "/sys/class/virtio-ports", attribute: "name", equals: name)
    }

    private func find(
        in directory: String, attribute: String, equals value: String
    ) throws(MachineFailure) -> String {
        while true {
            for name in SmallFile.names(in: directory).map({ String(decoding: $0, as: UTF8.self) }) {
                guard let found = SmallFile.read("\(directory)/\(name)/\(attribute)", maximum: 256),
                    found.prefix(while: { $0 > 32 }).elementsEqual(value.utf8)
                else { continue }
                let path = "/dev/" + name
                if access(path, F_OK) == 0 { return path }
            }
            guard EventLoop.now() < deadline else {
                throw MachineFailure("no device has the \(attribute) \(value)", ENODEV)
            }
            usleep(MachineDevices.lookMicroseconds)
        }
    }
}

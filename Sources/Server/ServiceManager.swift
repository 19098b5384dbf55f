#if canImport(Glibc)
internal import Glibc
#endif

/// Tells the service manager how the server is, as `sd_notify` does: a datagram to the socket that `NOTIFY_SOCKET` names.
/// Without a service manager nothing happens.
enum ServiceManager {
    /// Sends a state, such as `READY=1`. What cannot be delivered is nobody's loss.
    static func tell(_ state: String) {
        guard let variable = getenv("NOTIFY_SOCKET") else { return }
        let path = String(cString: variable)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        // `@` stands for the NUL that begins an abstract name.
        guard path.hasPrefix("/") || path.hasPrefix("@"), path.utf8.count < capacity else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            place.copyBytes(from: path.utf8)
            if path.hasPrefix("@") { place[0] = 0 }
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // An abstract name ends with the length that is given, a path with its NUL.
        let offset = MemoryLayout<sockaddr_un>.size - capacity
        let length = socklen_t(offset + path.utf8.count + (path.hasPrefix("@") ? 0 : 1))
        let bytes = Array(state.utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}

internal import Glibc
internal import SandboxModel
internal import Synchronization

/// Ends or fails a debug build at a ``Step``, for tests. In a release build there is none of it.
///
/// The environment's ``variable`` names a file with one order per line: `kill STEP` ends the process there as
/// `kill -9` does, `fail STEP` lets the step fail, and `hold STEP` keeps it there until the order is withdrawn, for a
/// minute at most. The first two are struck out when they are carried out, and the step's name is appended to the file
/// `….met` beside it. The file is read at every step, so that a test can give orders at any time.
public enum FaultInjection {
    /// Names the file with the orders.
    public static let variable = "NIGHTJAR_FAULTS"

    /// Whether this build has it.
    public static var isBuiltIn: Bool {
        #if DEBUG
        true
        #else
        false
        #endif
    }

    /// The file with the orders; `nil`: there are none, and there never will be.
    public static let file: String? = getenv(variable).map { String(cString: $0) }

    private static let lock = Mutex<Void>(())

    private enum Deed {
        case none, fail, hold
    }

    /// Carries out what is ordered for this step.
    @usableFromInline
    static func meet(_ step: Step, mayFail: Bool) throws {
        guard let file else { return }
        let deed = lock.withLock { _ -> Deed in
            var orders = lines(of: file)
            if orders.contains("kill \(step.rawValue)") {
                strike("kill \(step.rawValue)", from: &orders, file, step)
                kill(getpid(), SIGKILL)
                // The signal is on its way: nothing may happen any more.
                while true { pause() }
            }
            if orders.contains("hold \(step.rawValue)") {
                note(step, file)
                return .hold
            }
            guard mayFail, orders.contains("fail \(step.rawValue)") else { return .none }
            strike("fail \(step.rawValue)", from: &orders, file, step)
            return .fail
        }
        if deed == .hold { hold(step, file) }
        guard deed == .fail else { return }
        throw SandboxError(
            .driverFailed, "A fault was injected at the step \(step.rawValue).", hint: "this is a test")
    }

    private static func strike(_ order: String, from orders: inout [String], _ file: String, _ step: Step) {
        if let index = orders.firstIndex(of: order) { orders.remove(at: index) }
        write(orders.map { $0 + "\n" }.joined(), to: file + ".new", O_TRUNC)
        rename(file + ".new", file)
        note(step, file)
    }

    private static func note(_ step: Step, _ file: String) {
        write(step.rawValue + "\n", to: file + ".met", O_APPEND)
    }

    /// A whole thread waits, and with it whatever else would use it.
    private static func hold(_ step: Step, _ file: String) {
        for _ in 0..<6000 where lines(of: file).contains("hold \(step.rawValue)") { usleep(10_000) }
    }

    private static func lines(of file: String) -> [String] {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return bytes.prefix(max(0, count)).split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func write(_ text: String, to file: String, _ flag: Int32) {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }
}

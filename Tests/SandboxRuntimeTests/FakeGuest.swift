import Foundation
import Glibc
import SandboxModel
import Synchronization
import Wire

/// The guest's end of a channel: speaks the real protocol on a real socket, and has the answers it is given.
final class FakeGuest: Sendable {
    /// A process that never ends.
    static let endless: UInt32 = 77

    struct Answers: Sendable {
        var processes: [Wire.ProcessInfo] = []
        var blockers: [String] = []
        /// Stops answering anything, as a frozen or broken init does.
        var silent = false
    }

    let answers = Mutex(Answers())
    let onShutdown: @Sendable () -> Void
    private let channel = Mutex<Int32>(-1)

    init(onShutdown: @escaping @Sendable () -> Void) { self.onShutdown = onShutdown }

    /// A new channel to this guest; the one before breaks. The caller owns the descriptor.
    func connect() -> Int32 {
        var pair: [Int32] = [-1, -1]
        precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0)
        let (host, guest) = (pair[0], pair[1])
        channel.withLock { old in
            if old >= 0 { shutdown(old, Int32(SHUT_RDWR)) }
            old = guest
        }
        Thread.detachNewThread { self.serve(guest) }
        return host
    }

    /// Breaks the channel, as the end of the processes does.
    func hangUp() {
        channel.withLock { descriptor in
            if descriptor >= 0 { shutdown(descriptor, Int32(SHUT_RDWR)) }
            descriptor = -1
        }
    }

    private func serve(_ descriptor: Int32) {
        defer {
            // The number may be another channel's as soon as it is closed.
            channel.withLock { current in
                if current == descriptor { current = -1 }
                close(descriptor)
            }
        }
        var decoder = FrameDecoder(role: .guest)
        var encoder = FrameEncoder()
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { return }
            for event in decoder.push(buffer[0..<count]) {
                var output: [UInt8] = []
                var ending = false
                switch event {
                case .session(let nonce):
                    output = Resync.answer(nonce: nonce)
                    encoder = FrameEncoder()
                    let hello = Hello(oldestGeneration: 1, newestGeneration: 1, version: "fake", boot: 1)
                    encoder.encode(Frame(.message, stream: 0, payload: Reply.hello(hello).encoded()), into: &output)
                case .frame(let frame): answer(frame, &encoder, &output, &ending)
                case .broken: return
                }
                if answers.withLock({ $0.silent }) { continue }
                guard write(descriptor, output, output.count) == output.count else { return }
                if ending { onShutdown() }
            }
        }
    }

    /// - Parameter ending: Set if the guest ends after this answer.
    private func answer(
        _ frame: Frame, _ encoder: inout FrameEncoder, _ output: inout [UInt8], _ ending: inout Bool
    ) {
        switch frame.kind {
        case .ping: encoder.encode(Frame(.pong, stream: 0, payload: frame.payload), into: &output)
        case .open:
            guard let request = try? Request(decoding: frame.payload) else { return }
            let current = answers.withLock { $0 }
            let reply: Reply
            switch request {
            case .processWait(FakeGuest.endless): return
            case .processList: reply = .processes(current.processes)
            case .metrics:
                reply = .metrics(
                    GuestMetrics(
                        cpuUserMilliseconds: 1, cpuSystemMilliseconds: 1, memoryTotalKiB: 1, memoryAvailableKiB: 1,
                        processes: 1, uptimeMilliseconds: 1, diskTotalKiB: 1, diskFreeKiB: 1))
            case .checkpointBlockers: reply = .blockers(current.blockers)
            case .shutdown:
                reply = .ok
                ending = true
            default: reply = .ok
            }
            encoder.encode(
                Frame(.message, stream: frame.stream, flags: .final, payload: reply.encoded()), into: &output)
        default: break
        }
    }
}

internal import Glibc

/// The end: SIGTERM to everything, SIGKILL after the grace, then the init leaves.
final class Shutdown {
    private static let killWaitMilliseconds: Int64 = 2000
    private static let flushWaitMilliseconds: Int64 = 500

    private let loop: EventLoop
    private let channel: Channel
    private let end: () -> Never
    private var isLeaving = false

    init(loop: EventLoop, channel: Channel, end: @escaping () -> Never) {
        self.loop = loop
        self.channel = channel
        self.end = end
    }

    func begin(graceMilliseconds: UInt32) {
        kill(-1, SIGTERM)
        kill(-1, SIGCONT)
        loop.after(milliseconds: Int64(graceMilliseconds)) { [self] in
            kill(-1, SIGKILL)
            loop.after(milliseconds: Shutdown.killWaitMilliseconds) { [self] in leave() }
        }
        childrenChanged()
    }

    /// Leaves once no process is left; whatever loses its parent becomes a child of PID 1.
    func childrenChanged() {
        var info = siginfo_t()
        guard waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0, errno == ECHILD else { return }
        leave()
    }

    private func leave() {
        guard !isLeaving else { return }
        isLeaving = true
        waitUntilFlushed(until: EventLoop.now() + Shutdown.flushWaitMilliseconds)
    }

    /// The last exits and output may still wait for the channel.
    private func waitUntilFlushed(until deadline: Int64) {
        if channel.isFlushed || EventLoop.now() >= deadline { end() }
        loop.after(milliseconds: 1) { [self] in waitUntilFlushed(until: deadline) }
    }
}

internal import Glibc
internal import Synchronization

/// Writes lines to a descriptor on a thread of its own, so that whoever has a line to write never waits for the disk: on a
/// machine whose cores or disk are busy, the write of a line to a file may take half a second.
///
/// What is not written yet is bounded; a line that finds no room is lost, and the next that is written says how many were.
public final class LineWriter: Sendable {
    private struct State {
        var pending: [UInt8] = []
        var lost = 0
        var isWriting = false
    }

    /// Bytes that wait, at most.
    public static let limit = 4 << 20

    private let descriptor: Int32
    private let limit: Int
    private let confession: @Sendable (Int) -> [UInt8]
    private let state = Mutex(State())
    private let semaphore = Semaphore()

    /// - Parameters:
    ///   - descriptor: Stays the caller's, and open.
    ///   - confession: The line that says how many lines were lost.
    public init(
        descriptor: Int32, limit: Int = LineWriter.limit, confession: @escaping @Sendable (_ lost: Int) -> [UInt8]
    ) {
        self.descriptor = descriptor
        self.limit = limit
        self.confession = confession
        startThread { [self] in work() }
    }

    /// Takes a line, with its end.
    public func append(_ line: [UInt8]) {
        let isFirst = state.withLock { state in
            guard state.pending.count + line.count <= limit else {
                state.lost += 1
                return false
            }
            state.pending += line
            return state.pending.count == line.count
        }
        if isFirst { semaphore.signal() }
    }

    /// Returns when everything that was appended before is written, or the time is over.
    public func flush(until deadline: ContinuousClock.Instant) async {
        while !state.withLock({ $0.pending.isEmpty && !$0.isWriting }), ContinuousClock.now < deadline {
            await Reactor.shared.shieldedSleep(.milliseconds(1))
        }
    }

    private func work() {
        while true {
            semaphore.wait()
            let batch = state.withLock { state in
                let batch = state.pending + (state.lost > 0 ? confession(state.lost) : [])
                state = State(isWriting: true)
                return batch
            }
            write(batch)
            state.withLock { $0.isWriting = false }
        }
    }

    private func write(_ bytes: [UInt8]) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count > 0 {
                written += count
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, 1000)
            } else if errno != EINTR {
                // A line that cannot be written has nowhere else to go.
                return
            }
        }
    }
}

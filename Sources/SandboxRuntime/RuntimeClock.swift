internal import Glibc
public import SandboxModel

/// A point on the clock that never jumps, in nanoseconds from an arbitrary origin.
public struct Moment: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    public static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }
    public func advanced(by seconds: Double) -> Moment { Moment(nanoseconds: nanoseconds + Int64(seconds * 1e9)) }
    public func advanced(by duration: Duration) -> Moment { advanced(by: duration.seconds) }
    /// Seconds from `earlier` to this.
    public func seconds(since earlier: Moment) -> Double { Double(nanoseconds - earlier.nanoseconds) / 1e9 }
}

/// Time, as a parameter of the runtime.
public protocol RuntimeClock: Sendable {
    /// The time of day.
    var now: Timestamp { get }
    /// For intervals.
    var moment: Moment { get }
    /// Ends early only by throwing, when the task is cancelled.
    func sleep(for duration: Duration) async throws
}

/// The machine's own clocks.
public struct SystemClock: RuntimeClock {
    public init() {}
    public var now: Timestamp { Timestamp(unixNanoseconds: Self.read(CLOCK_REALTIME)) }
    public var moment: Moment { Moment(nanoseconds: Self.read(CLOCK_MONOTONIC)) }
    public func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension Duration {
    /// The same in seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

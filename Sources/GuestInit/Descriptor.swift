internal import Glibc

/// A descriptor that is closed when nobody needs it any more.
final class Descriptor: Sendable {
    let value: Int32
    init(_ value: Int32) { self.value = value }
    deinit { close(value) }
}

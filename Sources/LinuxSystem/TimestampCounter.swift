internal import CLinux

/// The processor's timestamp counter, which an emulated machine sees as it is.
public enum TimestampCounter {
    /// Its rate in kHz, for a machine that has no other clock to measure it by. Blocks the thread for some 20 ms.
    ///
    /// - Returns: `nil` if this processor has no such counter.
    public static func kilohertz() -> UInt64? {
        let rate = nj_timestamp_kilohertz()
        return rate > 0 ? rate : nil
    }
}

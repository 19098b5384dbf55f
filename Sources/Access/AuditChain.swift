internal import Crypto
internal import SandboxModel
internal import Store

/// The hashes that tie each row of the audit log to all before it.
///
/// Who can write the database file could still compute a whole new chain: what the chain shows is that nothing was changed
/// since its head was last copied to another place.
enum AuditChain {
    /// SHA-256 over the hash before and the row: every field with its length in front, so that no two rows read alike.
    static func hash(of row: AuditRow, after before: [UInt8]) -> [UInt8] {
        var hasher = SHA256()
        hasher.update(data: before)
        func add(_ text: String?) {
            guard let text else { return add(-1) }
            add(Int64(text.utf8.count))
            hasher.update(data: Array(text.utf8))
        }
        func add(_ number: Int64) {
            withUnsafeBytes(of: number.littleEndian) { hasher.update(bufferPointer: $0) }
        }
        add(row.sequence)
        add(row.at.unixNanoseconds)
        switch row.content {
        case .intent(let intent):
            add(0)
            for text in [
                intent.requestID, intent.who, intent.label, intent.from, intent.method, intent.route, intent.target,
            ] { add(text) }
        case .result(let result):
            add(1)
            for number in [result.intent, Int64(result.status), result.microseconds] { add(number) }
            add(result.code)
            add(result.target)
        }
        return Array(hasher.finalize())
    }
}

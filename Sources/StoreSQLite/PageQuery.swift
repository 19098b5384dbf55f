internal import Foundation
internal import GRDB
internal import SandboxModel

/// The place after which a page goes on: the last sandbox of the page before.
struct PageCursor: Equatable {
    var createdAt: Timestamp
    var id: SandboxID

    init(createdAt: Timestamp, id: SandboxID) {
        self.createdAt = createdAt
        self.id = id
    }

    /// Opaque to callers: base 64 for URLs of `1.nanoseconds.id`.
    var text: String {
        Data("1.\(createdAt.unixNanoseconds).\(id.rawValue)".utf8).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    init?(_ text: String) {
        guard (1...128).contains(text.utf8.count) else { return nil }
        var padded = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        padded += String(repeating: "=", count: (4 - padded.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: padded), let plain = String(data: data, encoding: .utf8) else {
            return nil
        }
        let parts = plain.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "1", let nanoseconds = Int64(parts[1]), let id = SandboxID(String(parts[2]))
        else { return nil }
        self.init(createdAt: Timestamp(unixNanoseconds: nanoseconds), id: id)
        // One text per cursor: whatever else decodes to the same was not made here.
        guard self.text == text else { return nil }
    }
}

/// The statement for one page.
struct PageQuery {
    var sql: String
    var arguments: StatementArguments

    init(filter: SandboxFilter, after: PageCursor?, limit: Int) {
        var conditions: [String] = []
        arguments = []
        if let after {
            conditions.append("(created_at, id) > (?, ?)")
            arguments += [after.createdAt.unixNanoseconds, after.id.rawValue]
        }
        if !filter.states.isEmpty {
            let states = filter.states.map(\.rawValue).sorted()
            conditions.append("state IN (\(states.map { _ in "?" }.joined(separator: ", ")))")
            arguments += StatementArguments(states)
        }
        for (key, value) in filter.labels.sorted(by: { $0.key < $1.key }) {
            conditions.append("EXISTS (SELECT 1 FROM labels WHERE sandbox = sandboxes.id AND key = ? AND value = ?)")
            arguments += [key, value]
        }
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        sql = "SELECT * FROM sandboxes \(condition) ORDER BY created_at, id LIMIT ?"
        arguments += [limit]
    }
}

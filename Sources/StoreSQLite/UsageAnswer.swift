internal import Foundation
internal import GRDB
internal import SandboxModel
internal import Store

/// The place after which a page about use goes on, and the question it belongs to.
struct UsageCursor: Codable, Equatable {
    /// ``UsageCursor/question(_:)``.
    var q: [String]
    /// Group and bucket of the last line of the page before.
    var g: String
    var b: Int64

    /// Whatever determines the lines and their order.
    static func question(_ query: UsageQuery) -> [String] {
        let grouping =
            switch query.grouping {
            case .sandbox: "sandbox"
            case .label(let key): "label " + key
            case .total: "total"
            }
        return [
            "1", "\(query.hours.lowerBound)", "\(query.hours.upperBound)", grouping, query.bucket.rawValue,
            query.sandbox?.rawValue ?? "",
        ] + query.labels.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
    }

    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self).base64EncodedString()
                .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                .replacingOccurrences(of: "=", with: "")
        }
    }

    /// - Throws: ``SandboxError`` with `invalid_cursor` if it is not one of this question.
    init(_ text: String, of query: UsageQuery) throws {
        var padded = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        padded += String(repeating: "=", count: (4 - padded.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: padded),
            let cursor = try? JSONDecoder().decode(UsageCursor.self, from: data),
            cursor.q == UsageCursor.question(query), try cursor.text == text
        else {
            throw SandboxError(
                .invalidCursor, "The cursor is not valid for this question.",
                hint: "use the next_cursor of the page before, with the same from, to and filters")
        }
        self = cursor
    }

    init(_ query: UsageQuery, group: String, bucket: Int64) {
        (q, g, b) = (UsageCursor.question(query), group, bucket)
    }
}

/// Answers one question about use, group by group.
struct UsageAnswer {
    let query: UsageQuery
    let now: Timestamp
    let db: Database

    /// Groups that are looked at with one statement.
    private static let batch = 200

    /// - Returns: Lines in the order of group and bucket, with their places.
    func lines(after cursor: UsageCursor?, limit: Int) throws -> [(line: UsageLine, group: String, bucket: Int64)] {
        var result: [(UsageLine, String, Int64)] = []
        var (from, inclusive) = (cursor?.g ?? "", true)
        while result.count < limit {
            let groups = try groups(from: from, inclusive: inclusive)
            for group in groups {
                for (bucket, amount) in try amounts(of: group).sorted(by: { $0.key < $1.key }) {
                    if let cursor, group == cursor.g, bucket <= cursor.b { continue }
                    result.append((try line(group, bucket, amount), group, bucket))
                    if result.count == limit { return result }
                }
            }
            guard groups.count == Self.batch, let last = groups.last else { break }
            (from, inclusive) = (last, false)
        }
        return result
    }

    // MARK: Groups

    /// Groups in order. A label's value has a `1` before it, its absence is `0`.
    private func groups(from first: String, inclusive: Bool) throws -> [String] {
        let comparison = inclusive ? ">=" : ">"
        switch query.grouping {
        case .total: return inclusive ? ["0"] : []
        case .sandbox:
            var sql = "SELECT sandbox FROM usage_sandboxes WHERE sandbox \(comparison) ?"
            var arguments: StatementArguments = [first]
            if let sandbox = query.sandbox {
                sql += " AND sandbox = ?"
                arguments += [sandbox.rawValue]
            }
            return try String.fetchAll(db, sql: sql + " ORDER BY sandbox LIMIT \(Self.batch)", arguments: arguments)
        case .label(let key):
            return try String.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT CASE WHEN l.value IS NULL THEN '0' ELSE '1' || l.value END AS grp \
                    FROM usage_label_sets s LEFT JOIN usage_labels l ON l.set_id = s.id AND l.key = ? \
                    WHERE grp \(comparison) ? ORDER BY grp LIMIT \(Self.batch)
                    """, arguments: [key, first])
        }
    }

    /// Which rows belong to a group and pass the filters.
    private func condition(_ group: String) -> (sql: String, arguments: StatementArguments) {
        var parts: [String] = []
        var arguments: StatementArguments = []
        switch query.grouping {
        case .total: break
        case .sandbox:
            parts.append("sandbox = ?")
            arguments += [group]
        case .label(let key):
            let sets = "SELECT set_id FROM usage_labels WHERE key = ?"
            if group == "0" {
                parts.append("label_set NOT IN (\(sets))")
                arguments += [key]
            } else {
                parts.append("label_set IN (\(sets) AND value = ?)")
                arguments += [key, String(group.dropFirst())]
            }
        }
        if let sandbox = query.sandbox, query.grouping != .sandbox {
            parts.append("sandbox = ?")
            arguments += [sandbox.rawValue]
        }
        for (key, value) in query.labels.sorted(by: { $0.key < $1.key }) {
            parts.append("label_set IN (SELECT set_id FROM usage_labels WHERE key = ? AND value = ?)")
            arguments += [key, value]
        }
        return (parts.isEmpty ? "" : " AND " + parts.joined(separator: " AND "), arguments)
    }

    // MARK: Amounts

    /// First hour of the bucket that an hour belongs to.
    private func bucket(_ hour: Int64) -> Int64 {
        switch query.bucket {
        case .hour: hour
        case .day: max(query.hours.lowerBound, hour - hour % 24)
        case .all: query.hours.lowerBound
        }
    }

    /// The hour after a bucket.
    private func end(of bucket: Int64) -> Int64 {
        switch query.bucket {
        case .hour: bucket + 1
        case .day: min(query.hours.upperBound, bucket - bucket % 24 + 24)
        case .all: query.hours.upperBound
        }
    }

    private func amounts(of group: String) throws -> [Int64: UsageAmount] {
        var result: [Int64: UsageAmount] = [:]
        let (condition, arguments) = condition(group)
        let size =
            switch query.bucket {
            case .hour: "hour"
            case .day: "hour - hour % 24"
            case .all: "hour - hour"
            }
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT MIN(hour) AS first, TOTAL(cpu_seconds) AS cpu, TOTAL(seconds) AS seconds, \
                TOTAL(memory) AS memory, TOTAL(memory_limit) AS memory_limit FROM usage_hours \
                WHERE hour >= ? AND hour < ?\(condition) GROUP BY \(size)
                """, arguments: [query.hours.lowerBound, query.hours.upperBound] + arguments)
        for row in rows {
            guard let first: Int64 = row["first"] else { continue }
            var amount = UsageAmount()
            amount.cpuSeconds = row["cpu"]
            amount.runningSeconds = row["seconds"]
            amount.memoryByteSeconds = row["memory"]
            amount.limitByteSeconds = row["memory_limit"]
            result[bucket(first), default: UsageAmount()] += amount
        }
        try addSleeps(condition, arguments, to: &result)
        return result
    }

    private func addSleeps(
        _ condition: String, _ arguments: StatementArguments, to result: inout [Int64: UsageAmount]
    ) throws {
        let hour = UsageRows.hour
        let range = (query.hours.lowerBound * hour)..<(query.hours.upperBound * hour)
        let sleeps = try Row.fetchCursor(
            db,
            sql: """
                SELECT began, ended, bytes FROM usage_sleeps \
                WHERE began < ? AND (ended IS NULL OR ended > ?)\(condition)
                """, arguments: [range.upperBound, range.lowerBound] + arguments)
        while let sleep = try sleeps.next() {
            let (began, ended, bytes): (Int64, Int64?, Int64) = (sleep["began"], sleep["ended"], sleep["bytes"])
            var position = max(began, range.lowerBound)
            let end = min(ended ?? now.unixNanoseconds, range.upperBound)
            while position < end {
                let bucket = bucket(position / hour)
                let next = min(end, self.end(of: bucket) * hour)
                var amount = UsageAmount()
                amount.standbySeconds = Double(next - position) / 1e9
                amount.standbyByteSeconds = amount.standbySeconds * Double(bytes)
                result[bucket, default: UsageAmount()] += amount
                position = next
            }
        }
    }

    private func line(_ group: String, _ bucket: Int64, _ amount: UsageAmount) throws -> UsageLine {
        var line = UsageLine(
            from: Timestamp(unixNanoseconds: bucket * UsageRows.hour),
            to: Timestamp(unixNanoseconds: end(of: bucket) * UsageRows.hour), amount: amount)
        switch query.grouping {
        case .total: break
        case .label: line.labelValue = group == "0" ? nil : String(group.dropFirst())
        case .sandbox:
            line.sandbox = try SandboxRow.identifier(group)
            let row = try Row.fetchOne(
                db, sql: "SELECT name, deleted_at FROM usage_sandboxes WHERE sandbox = ?", arguments: [group])
            line.name = row?["name"]
            let deleted: Int64? = row?["deleted_at"]
            line.deletedAt = deleted.map { Timestamp(unixNanoseconds: $0) }
        }
        return line
    }
}

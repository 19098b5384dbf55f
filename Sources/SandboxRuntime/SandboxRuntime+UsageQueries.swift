public import SandboxModel
internal import Store

/// What is asked about use: the parameters of `GET /v1/usage`, within their types.
public struct UsageQuestion: Sendable {
    public var from: Timestamp?
    public var to: Timestamp?
    /// `sandbox`, `total` or `label:KEY`.
    public var groupBy: String?
    /// `hour`, `day` or `all`.
    public var bucket: String?
    /// Id or name, also of one that is gone.
    public var sandbox: String?
    public var labels: [String: String] = [:]
    public var cursor: String?
    public var limit = 100
    public init() {}
}

extension SandboxRuntime {
    /// What sandboxes have used, those that are gone included. Up to the last reading (``RuntimeConfiguration/usageInterval``)
    /// for those that run, up to now for those that sleep.
    ///
    /// Whole hours are told: `from` is rounded down and `to` up. Without them it is the last 24 hours and the one that
    /// runs.
    ///
    /// - Throws: ``SandboxError`` with `invalid_request`, `invalid_cursor`, `sandbox_not_found` for a name that never was.
    public func usage(_ question: UsageQuestion) async throws -> UsageResource {
        let now = clock.now
        var query = UsageQuery(
            hours: try Self.hours(question, now: now), grouping: try Self.grouping(question.groupBy ?? "sandbox"))
        if let text = question.bucket {
            guard let bucket = UsageQuery.Bucket(rawValue: text) else {
                throw SandboxError(.invalidRequest, "bucket must be hour, day or all.")
            }
            query.bucket = bucket
        }
        if let reference = question.sandbox { query.sandbox = try await known(reference) }
        query.labels = question.labels
        let page = try await usage.usage(query, now: now, cursor: question.cursor, limit: question.limit)
        var key: String?
        if case .label(let label) = query.grouping { key = label }
        return UsageResource(
            from: Self.time(query.hours.lowerBound), to: Self.time(query.hours.upperBound),
            items: page.lines.map { UsageResource.Item($0, label: key) }, nextCursor: page.nextCursor)
    }

    private func known(_ reference: String) async throws -> SandboxID {
        if let id = SandboxID(reference) { return id }
        if let sandbox = try? registry.find(reference) { return sandbox.id }
        guard let id = try await usage.sandbox(everNamed: reference) else { throw SandboxError.notFound(reference) }
        return id
    }

    private static let hour: Int64 = 3_600_000_000_000

    private static func time(_ hours: Int64) -> Timestamp { Timestamp(unixNanoseconds: hours * hour) }

    private static func hours(_ question: UsageQuestion, now: Timestamp) throws -> Range<Int64> {
        let end = ((question.to ?? now).unixNanoseconds + hour - 1) / hour
        let begin = question.from.map { $0.unixNanoseconds / hour } ?? end - 25
        guard begin < end else {
            throw SandboxError(.invalidRequest, "from must be before to.", hint: "without `to`, it is now")
        }
        guard end - begin <= 24 * 400 else {
            throw SandboxError(.invalidRequest, "from and to must not be more than 400 days apart.")
        }
        return begin..<end
    }

    private static func grouping(_ text: String) throws -> UsageQuery.Grouping {
        switch text {
        case "sandbox": return .sandbox
        case "total": return .total
        default:
            let key = text.dropFirst("label:".count)
            guard text.hasPrefix("label:"), (1...128).contains(key.utf8.count), !key.contains("=") else {
                throw SandboxError(.invalidRequest, "group_by must be sandbox, total or label:KEY.")
            }
            return .label(String(key))
        }
    }
}

extension UsageResource.Item {
    init(_ line: UsageLine, label: String?) {
        let gibibyte = 1_073_741_824.0
        self.init(
            sandbox: line.sandbox, name: line.name, deletedAt: line.deletedAt, label: label, value: line.labelValue,
            from: line.from, to: line.to, cpuSeconds: line.amount.cpuSeconds,
            runningSeconds: line.amount.runningSeconds,
            memoryGiBSeconds: line.amount.memoryByteSeconds / gibibyte,
            limitGiBSeconds: line.amount.limitByteSeconds / gibibyte, standbySeconds: line.amount.standbySeconds,
            standbyGiBSeconds: line.amount.standbyByteSeconds / gibibyte)
    }
}

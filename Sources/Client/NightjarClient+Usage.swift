internal import NIOHTTP1
public import SandboxModel

/// What is asked about use.
public struct UsageQuery: Sendable {
    /// Whole hours are told: it is rounded down.
    public var from: Timestamp?
    /// Rounded up.
    public var to: Timestamp?
    /// `sandbox`, `total` or `label:KEY`.
    public var groupBy: String?
    /// `hour`, `day` or `all`.
    public var bucket: String?
    /// Id or name, also of one that is gone.
    public var sandbox: String?
    public var labels: [String: String] = [:]
    public init() {}
}

extension NightjarClient {
    /// One page of what sandboxes have used, those that are gone included.
    public func usage(
        _ query: UsageQuery, limit: Int? = nil, cursor: String? = nil
    ) async throws -> UsageResource {
        var target = Target("usage")
        target.query("from", query.from?.description)
        target.query("to", query.to?.description)
        target.query("group_by", query.groupBy)
        target.query("bucket", query.bucket)
        target.query("sandbox", query.sandbox)
        for (key, value) in query.labels.sorted(by: { $0.key < $1.key }) { target.query("label", "\(key)=\(value)") }
        target.query("limit", limit)
        target.query("cursor", cursor)
        return try await call(.GET, target)
    }

    /// All pages as one.
    public func allUsage(_ query: UsageQuery) async throws -> UsageResource {
        var all = try await usage(query, limit: 1000)
        // The following pages are of the same hours, whatever the time is then.
        var exact = query
        (exact.from, exact.to) = (all.from, all.to)
        while let cursor = all.nextCursor {
            let page = try await usage(exact, limit: 1000, cursor: cursor)
            all.items += page.items
            all.nextCursor = page.nextCursor
        }
        return all
    }
}

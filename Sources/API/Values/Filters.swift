internal import HTTPKit
internal import SandboxModel

extension Query {
    /// The filters `label=key=value`.
    func labels() throws(SandboxError) -> [String: String] {
        var labels: [String: String] = [:]
        for label in try texts("label") {
            let pair = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, !pair[0].isEmpty else {
                throw SandboxError(.invalidRequest, "A label filter must look like key=value.", hint: "label=key=value")
            }
            guard labels.updateValue(String(pair[1]), forKey: String(pair[0])) == nil else {
                throw SandboxError(.invalidRequest, "The label '\(pair[0])' is filtered for twice.")
            }
        }
        return labels
    }

    /// The place where a page begins.
    func cursor() throws(SandboxError) -> String? {
        guard let cursor = try text("cursor") else { return nil }
        guard (1...8192).contains(cursor.utf8.count) else {
            throw SandboxError(.invalidCursor, "The cursor is not valid.", hint: "begin again without it")
        }
        return cursor
    }

    func time(_ key: String) throws(SandboxError) -> Timestamp? {
        guard let text = try text(key) else { return nil }
        guard let time = Timestamp(text) else {
            throw SandboxError(
                .invalidRequest, "The query parameter '\(key)' is not a time.",
                hint: "RFC 3339 in UTC, for example 2026-11-21T12:00:00Z")
        }
        return time
    }
}

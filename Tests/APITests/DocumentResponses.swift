/// Which errors every operation of the document lists, and the text with them filled in.
///
/// A `default` response would allow everything, so each status stands by itself. What follows from an operation's kind is
/// filled in by rule; what is special about one is written by hand and kept.
enum DocumentResponses {
    /// What the rules need to know of an operation.
    private struct Operation {
        var path: String
        var method: String
        var lines: [String]

        func has(_ text: String) -> Bool { lines.contains { $0.hasPrefix("      \(text)") } }

        /// Whether it needs the sandbox's processes, and so may wake it, wait for it, and meet what is inside.
        var usesGuest: Bool {
            ["exec", "processes", "files", "ports"].contains { path.hasPrefix("/v1/sandboxes/{sandbox}/\($0)") }
        }
        /// Whether it may make or change a sandbox.
        var changesSandbox: Bool { path.hasPrefix("/v1/sandboxes") && !usesGuest && method != "get" }

        var statuses: Set<Int> {
            var statuses: Set = [400, 431, 500, 503]
            if !has("security: []") { statuses.formUnion([401, 403, 429]) }
            if path.contains("{") { statuses.insert(404) }
            if has("requestBody:") { statuses.formUnion([408, 413, 415]) }
            if usesGuest { statuses.formUnion([409, 422, 499, 504, 507]) }
            if has("  '101':") { statuses.insert(426) }
            if changesSandbox { statuses.formUnion([409, 422, 499, 504, 507]) }
            return statuses
        }
    }

    /// The document with the error responses of all operations, sorted. Complete text is returned as it is.
    static func complete(_ text: String) -> String {
        var result: [String] = []
        var path = ""
        var rest = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
        while let line = rest.popFirst() {
            if let match = line.wholeMatch(of: /\x20{2}(\/\S*):/) { path = String(match.1) }
            if !line.hasPrefix(" ") { path = "" }
            result.append(line)
            guard !path.isEmpty, let method = line.wholeMatch(of: /\x20{4}(get|head|post|put|patch|delete):/) else {
                continue
            }
            let count = rest.prefix { $0.isEmpty || $0.hasPrefix("      ") }.count
            let body = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            result += complete(Operation(path: path, method: String(method.1), lines: body))
        }
        return result.joined(separator: "\n")
    }

    private static func complete(_ operation: Operation) -> [String] {
        guard let start = operation.lines.firstIndex(of: "      responses:") else { return operation.lines }
        let entries = operation.lines[(start + 1)...].prefix { $0.hasPrefix("        ") }
        var kept: [String] = []
        var statuses = operation.statuses
        var isKept = false
        for line in entries {
            if let match = line.prefixMatch(of: /\x20{8}(?:'(\d+)'|default):/) {
                let status = match.1.flatMap { Int($0) }
                isKept = status.map { $0 < 400 } ?? false
                if let status, status >= 400 { statuses.insert(status) }
            }
            if isKept { kept.append(line) }
        }
        let errors = statuses.sorted().map { status in
            let name = operation.method == "head" ? "HeadError" : "\(status)"
            return "        '\(status)': {$ref: '#/components/responses/\(name)'}"
        }
        return operation.lines[...start] + kept + errors + operation.lines[entries.endIndex...]
    }
}

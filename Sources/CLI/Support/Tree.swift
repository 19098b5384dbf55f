internal import Foundation

/// Lines of a tree, with branches drawn before them.
struct Tree {
    struct Node {
        var text: String
        var children: [Node]
    }

    /// Drawn with lines, or in ASCII where the locale has no others.
    static func lines(_ roots: [Node], ascii: Bool = !hasLines) -> [String] {
        roots.flatMap { [$0.text] + lines(below: $0, prefix: "", ascii: ascii) }
    }

    private static func lines(below node: Node, prefix: String, ascii: Bool) -> [String] {
        node.children.enumerated().flatMap { index, child in
            let isLast = index == node.children.count - 1
            let branch = ascii ? (isLast ? "`- " : "|- ") : (isLast ? "└─ " : "├─ ")
            let further = isLast ? "   " : (ascii ? "|  " : "│  ")
            return [prefix + branch + child.text] + lines(below: child, prefix: prefix + further, ascii: ascii)
        }
    }

    /// Whether the locale is one of UTF-8.
    static var hasLines: Bool {
        let environment = ProcessInfo.processInfo.environment
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty } ?? "C.UTF-8"
        return locale.uppercased().contains("UTF")
    }

    /// A forest of items that name their parents; one whose parent is not there is a root. A ring hangs nowhere and is
    /// therefore cut at its lowest item.
    static func forest<ID: Hashable & Comparable>(_ items: [(id: ID, parent: ID, text: String)]) -> [Node] {
        let known = Set(items.map(\.id))
        var children: [ID: [(id: ID, parent: ID, text: String)]] = [:]
        for item in items.sorted(by: { $0.id < $1.id }) where item.parent != item.id {
            children[item.parent, default: []].append(item)
        }
        var shown = Set<ID>()
        func node(_ item: (id: ID, parent: ID, text: String)) -> Node? {
            guard shown.insert(item.id).inserted else { return nil }
            return Node(text: item.text, children: (children[item.id] ?? []).compactMap(node))
        }
        let sorted = items.sorted { $0.id < $1.id }
        let roots = sorted.filter { !known.contains($0.parent) || $0.parent == $0.id }.compactMap(node)
        return roots + sorted.compactMap(node)
    }
}

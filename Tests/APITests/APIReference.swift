import Yams

/// `docs/reference/api.md`, made from the OpenAPI document.
struct APIReference {
    typealias Map = [String: Any]

    private let document: Map
    private let text: String

    init(text: String) throws {
        self.text = text
        document = try Yams.load(yaml: text) as? Map ?? [:]
    }

    private static let methods = ["get", "head", "post", "put", "patch", "delete"]

    var markdown: String {
        let info = document["info"] as? Map ?? [:]
        var lines = [
            "# Interface", "",
            "Made from the [OpenAPI document](../../Sources/API/openapi.yaml) by `make docs`: change that, not this file. A "
                + "server has it at `/v1/openapi.yaml`.", "", string(info["description"]), "",
            "| operation | request | |",
            "|---|---|---|",
        ]
        let operations = orderedOperations()
        for operation in operations {
            lines.append(
                "| [`\(operation.id)`](#\(operation.id.lowercased())) | \(operation.call) | \(operation.summary) |")
        }
        var tag = ""
        for operation in operations {
            if operation.tag != tag {
                tag = operation.tag
                lines += ["", "## \(tag.prefix(1).uppercased() + tag.dropFirst())"]
            }
            lines += ["", "### \(operation.id)", ""] + section(operation)
        }
        lines += ["", "## Errors", ""] + errors()
        lines += ["", "## Schemas"]
        for name in orderedSchemas() { lines += ["", "### Schema \(name)", ""] + schemaSection(name) }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: Operations

    private struct Operation {
        var id: String
        var tag: String
        var path: String
        var method: String
        var body: Map
        var parameters: [Map]

        var call: String { "`\(method.uppercased()) \(path)`" }
        var summary: String { (body["summary"] as? String ?? "").replacing("\n", with: " ") }
    }

    /// In the order of the document's tags, and below each in that of the text.
    private func orderedOperations() -> [Operation] {
        let paths = document["paths"] as? [String: Map] ?? [:]
        let tags = (document["tags"] as? [Map] ?? []).compactMap { $0["name"] as? String }
        let order = text.matches(of: /operationId: (\w+)/).map { String($0.1) }
        var found: [String: Operation] = [:]
        for (path, item) in paths {
            for method in Self.methods {
                guard let body = item[method] as? Map, let id = body["operationId"] as? String else { continue }
                let parameters = (item["parameters"] as? [Map] ?? []) + (body["parameters"] as? [Map] ?? [])
                found[id] = Operation(
                    id: id, tag: (body["tags"] as? [String])?.first ?? "", path: path, method: method, body: body,
                    parameters: parameters.map { resolve($0) })
            }
        }
        let listed = order.compactMap { found[$0] }
        return tags.flatMap { tag in listed.filter { $0.tag == tag } }
    }

    private func section(_ operation: Operation) -> [String] {
        var lines = [operation.call, "", operation.summary + "."]
        let description = string(operation.body["description"])
        if !description.isEmpty { lines += ["", description] }
        if (operation.body["security"] as? [Any])?.isEmpty == true { lines += ["", "Needs no key."] }
        if !operation.parameters.isEmpty {
            lines += ["", "| parameter | in | type | meaning |", "|---|---|---|---|"]
            for parameter in operation.parameters {
                let name = "`\(string(parameter["name"]))`" + (parameter["required"] as? Bool == true ? "" : "?")
                let schema = parameter["schema"] as? Map ?? [:]
                lines.append(
                    "| \(name) | \(string(parameter["in"])) | \(type(schema)) | \(cell(string(parameter["description"]))) |"
                )
            }
        }
        if let body = operation.body["requestBody"] as? Map {
            for (media, content) in contents(body) {
                lines += ["", "Body, `\(media)`: \(type(content["schema"] as? Map ?? [:]))."]
                lines += properties(content["schema"] as? Map ?? [:])
            }
        }
        return lines + answers(operation)
    }

    private func answers(_ operation: Operation) -> [String] {
        let responses = operation.body["responses"] as? [String: Map] ?? [:]
        var lines = ["", "| status | answer |", "|---|---|"]
        for status in responses.keys.sorted() where (Int(status) ?? 999) < 400 {
            let response = resolve(responses[status] ?? [:])
            let kinds = contents(response).map { "`\($0)`: \(type($1["schema"] as? Map ?? [:]))" }
            let text = ([cell(string(response["description"]))] + kinds).joined(separator: "; ")
            lines.append("| \(status) | \(text) |")
        }
        let errors = responses.keys.sorted().filter { (Int($0) ?? 0) >= 400 }
        if !errors.isEmpty { lines.append("| \(errors.joined(separator: ", ")) | [an error](#errors) |") }
        return lines
    }

    private func errors() -> [String] {
        let responses = (document["components"] as? Map)?["responses"] as? [String: Map] ?? [:]
        var lines = [
            "The body is [Error](#schema-error). Its `code` says which it is.", "", "| status | codes |", "|---|---|",
        ]
        for status in responses.keys.sorted() where Int(status) != nil {
            lines.append("| \(status) | \(cell(string(responses[status]?["description"]))) |")
        }
        return lines
    }

    // MARK: Schemas

    private func orderedSchemas() -> [String] {
        let schemas = (document["components"] as? Map)?["schemas"] as? Map ?? [:]
        return schemas.keys.sorted()
    }

    private func schemaSection(_ name: String) -> [String] {
        let schema = ((document["components"] as? Map)?["schemas"] as? Map)?[name] as? Map ?? [:]
        let description = string(schema["description"])
        var lines = [type(schema) + (description.isEmpty ? "." : ". \(description)")]
        lines += properties(schema)
        return lines
    }

    /// A table of an object's fields.
    private func properties(_ schema: Map) -> [String] {
        guard schema["$ref"] == nil, let properties = schema["properties"] as? [String: Map] else { return [] }
        let required = Set(schema["required"] as? [String] ?? [])
        var lines = ["", "| field | type | meaning |", "|---|---|---|"]
        for name in properties.keys.sorted() {
            let property = properties[name] ?? [:]
            let mark = required.contains(name) ? "" : "?"
            lines.append("| `\(name)`\(mark) | \(type(property)) | \(cell(string(property["description"]))) |")
        }
        return lines
    }

    /// A schema in a few words, with its bounds.
    private func type(_ schema: Map) -> String {
        if let name = (schema["$ref"] as? String)?.split(separator: "/").last {
            return "[\(name)](#schema-\(name.lowercased()))" + bounds(schema)
        }
        if let values = schema["enum"] as? [Any] {
            return "one of " + values.map { "`\($0)`" }.joined(separator: ", ") + bounds(schema)
        }
        if let choices = schema["oneOf"] as? [Map] { return choices.map { type($0) }.joined(separator: ", or ") }
        let kinds = (schema["type"] as? [String]) ?? [(schema["type"] as? String) ?? "any"]
        var text = kinds.joined(separator: " or ")
        if let items = schema["items"] as? Map { text += " of " + type(items) }
        if let values = schema["additionalProperties"] as? Map { text += " of " + type(values) }
        if let format = schema["format"] as? String { text += " (\(format))" }
        return text + bounds(schema)
    }

    private static let bounds = [
        ("minimum", "from "), ("maximum", "to "), ("minLength", "at least, in characters, "),
        ("maxLength", "at most, in characters, "), ("minItems", "at least, in items, "),
        ("maxItems", "at most, in items, "), ("maxProperties", "at most, in entries, "), ("default", "default "),
    ]

    private func bounds(_ schema: Map) -> String {
        var words = Self.bounds.compactMap { key, word in schema[key].map { word + "`\($0)`" } }
        if let pattern = schema["pattern"] as? String { words.append("matches `\(pattern)`") }
        return words.isEmpty ? "" : ", " + cell(words.joined(separator: ", "))
    }

    // MARK: Parts

    private func contents(_ node: Map) -> [(String, Map)] {
        (node["content"] as? [String: Map] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func resolve(_ node: Map) -> Map {
        guard let reference = node["$ref"] as? String else { return node }
        var target: Any? = document
        for part in reference.dropFirst(2).split(separator: "/") { target = (target as? Map)?[String(part)] }
        return target as? Map ?? node
    }

    private func string(_ value: Any?) -> String {
        var text = value.map { "\($0)" } ?? ""
        while text.last == "\n" { text.removeLast() }
        return text
    }

    /// Text in one cell of a table.
    private func cell(_ text: String) -> String { text.replacing("\n", with: " ").replacing("|", with: "\\|") }
}

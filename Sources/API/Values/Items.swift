internal import HTTPKit
internal import HTTPTypes
internal import Hummingbird
internal import SandboxModel

/// A list that is not paged.
struct Items<Item: Encodable>: Encodable {
    let items: [Item]
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: try JSONOutput.buffer(value)))
    }

    /// Something new, and where it can be asked for.
    static func created(_ value: some Encodable, at location: String) throws -> Response {
        var response = try json(value, status: .created)
        response.headers[.location] = location
        return response
    }

    static var noContent: Response { Response(status: .noContent) }
}

extension APIContext {
    /// A path's parameter, percent-decoded.
    func parameter(_ name: String) throws(SandboxError) -> String {
        guard let raw = parameters.get(name),
            let text = String(validating: try PercentCoding.decode(raw, plusIsSpace: false), as: UTF8.self)
        else { throw SandboxError(.invalidRequest, "The path is not UTF-8.") }
        return text
    }

    /// The `{sandbox}` of the path: an identifier or a name.
    func sandbox() throws(SandboxError) -> String {
        let text = try parameter("sandbox")
        if SandboxID(text) == nil { try SandboxSpec.check(name: text, what: "sandbox's name") }
        return text
    }

    /// The `{process}` of the path.
    func process() throws(SandboxError) -> UInt32 {
        let text = try parameter("process")
        guard let id = UInt32(text), id > 0, !text.hasPrefix("+") else {
            throw SandboxError(.invalidRequest, "The process must be a whole number from 1.")
        }
        return id
    }
}

/// What another program said, as the cause of an error.
public struct Complaint: Error, CustomStringConvertible {
    public let description: String

    /// Keeps the first 2,000 characters.
    public init(_ text: String) { description = String(text.prefix(2000)) }
}

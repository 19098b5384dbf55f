/// The text of `openapi.yaml`, so that the program can serve it wherever it is.
///
/// This folder is made from that file by `NIGHTJAR_WRITE_DOCUMENT=1 swift test --filter DocumentTests`; a test holds the
/// two together.
public enum OpenAPIDocument {
    public static let text = part1 + part2 + part3 + part4 + part5 + part6
}

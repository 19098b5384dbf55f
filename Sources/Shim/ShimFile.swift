/// A file of the host that is put into a jail.
public struct ShimFile: Sendable, Hashable {
    /// A regular file, absolute.
    public var path: String
    /// Its name in the jail's root directory: 1 to 64 letters, digits, `.`, `_` and `-`, the first of them no dot.
    public var name: String
    /// Whether it may be written. Then it gets the jail's user as its owner; otherwise everybody must be allowed to
    /// read it.
    public var isWritable: Bool

    public init(path: String, name: String, isWritable: Bool) {
        self.path = path
        self.name = name
        self.isWritable = isWritable
    }

    /// For each file a `w` or an `r`, its name and its path, each of them ended by NUL, which no path contains.
    public static func encode(_ files: [ShimFile]) -> [UInt8] {
        files.flatMap { file in
            let kind: UInt8 = file.isWritable ? 0x77 : 0x72
            return [kind] + Array("\(file.name)\0\(file.path)\0".utf8)
        }
    }

    /// `nil` if the bytes are not what ``encode(_:)`` makes of 1 to 16 files with names that are allowed.
    public static func decode(_ bytes: some BidirectionalCollection<UInt8>) -> [ShimFile]? {
        guard bytes.last == 0 else { return nil }
        let words = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
        guard words.count.isMultiple(of: 2), (1...16).contains(words.count / 2) else { return nil }
        var files: [ShimFile] = []
        for start in stride(from: 0, to: words.count, by: 2) {
            let (name, path) = (words[start].dropFirst(), words[start + 1])
            guard let kind = words[start].first, kind == 0x77 || kind == 0x72, isName(name), path.first == 0x2F else {
                return nil
            }
            files.append(
                ShimFile(
                    path: String(decoding: path, as: UTF8.self), name: String(decoding: name, as: UTF8.self),
                    isWritable: kind == 0x77))
        }
        return files
    }

    private static func isName(_ name: some Collection<UInt8>) -> Bool {
        guard (1...64).contains(name.count), name.first != 0x2E else { return false }
        return name.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
            default: false
            }
        }
    }
}

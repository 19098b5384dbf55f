internal import CLinux
internal import Glibc
internal import Wire

/// What `sudo` asks for. It travels as its length (`UInt32`) with the three standard descriptors attached, then itself.
///
/// Afterwards the caller sends signal numbers, one byte each, and receives an ``ElevationResult`` at the end.
struct ElevationRequest {
    static let maximum = 4 << 20

    var directory: String
    var arguments: [String]
    var environment: [String]

    func encoded() -> [UInt8] {
        var writer = WireWriter()
        writer.string(directory)
        writer.strings(arguments)
        writer.strings(environment)
        return writer.bytes
    }

    init(directory: String, arguments: [String], environment: [String]) {
        self.directory = directory
        self.arguments = arguments
        self.environment = environment
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = WireReader(bytes)
        directory = try reader.string()
        arguments = try reader.strings()
        environment = try reader.strings()
    }
}

/// How it ended: the exit code, and a line for the caller if there was no command that could end.
struct ElevationResult {
    static let maximumText = 1024

    var code: UInt8
    var text = ""

    func encoded() -> [UInt8] { [code] + text.utf8.prefix(Self.maximumText) }

    init(code: UInt8, text: String = "") {
        self.code = code
        self.text = text
    }

    init?(decoding bytes: [UInt8]) {
        guard let first = bytes.first else { return nil }
        code = first
        text = String(decoding: bytes.dropFirst(), as: UTF8.self)
    }
}

/// Blocking reads and writes of whole messages.
enum ElevationStream {
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                retrying {
                    send(
                        descriptor, buffer.baseAddress?.advanced(by: offset), bytes.count - offset,
                        Int32(MSG_NOSIGNAL))
                }
            }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }

    /// Exactly `count` bytes, or `nil`.
    static func read(_ count: Int, from descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let received = bytes.withUnsafeMutableBytes { buffer in
                retrying { recv(descriptor, buffer.baseAddress?.advanced(by: offset), count - offset, 0) }
            }
            guard received > 0 else { return nil }
            offset += received
        }
        return bytes
    }
}

import Foundation
import Testing
import Wire

/// What fuzzing found worth keeping (`Fuzz/NAME/corpus`) goes through the same checks with every test run. A finding
/// is a trap, which ends the run.
struct FuzzCorpusTests {
    @Test func `the guest's decoder stands what fuzzing found`() throws {
        try eachInput(of: "WireGuest", fuzzWireGuest)
    }

    @Test func `the host's decoder stands what fuzzing found`() throws {
        try eachInput(of: "WireHost", fuzzWireHost)
    }

    private func eachInput(of target: String, _ check: (UnsafeBufferPointer<UInt8>) -> Void) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let corpus = root.deletingLastPathComponent().appending(path: "Fuzz/\(target)/corpus")
        let files = try FileManager.default.contentsOfDirectory(at: corpus, includingPropertiesForKeys: nil)
        #expect(files.count > 20)
        for file in files { try [UInt8](Data(contentsOf: file)).withUnsafeBufferPointer(check) }
    }
}

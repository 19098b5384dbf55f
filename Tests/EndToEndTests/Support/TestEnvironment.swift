import Foundation

/// Where the tests find what they need.
enum TestEnvironment {
    private static let variables = ProcessInfo.processInfo.environment

    /// The package's directory.
    static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// The program under test.
    static let program: String = {
        if let directory = variables["NIGHTJAR_TEST_BIN"] { return directory + "/nightjar" }
        return root + "/.build/debug/nightjar"
    }()

    /// The directory of the static helpers.
    static let libexec: String = variables["NIGHTJAR_TEST_BIN"] ?? root + "/.build-guest/release"

    static let templates: String = variables["NIGHTJAR_TEST_TEMPLATES"] ?? "/var/lib/nightjar/templates"

    /// Where `scripts/build-kernel` puts the kernels of virtual machines.
    static let kernels = "/var/lib/nightjar/kernels"

    /// Whether what takes long, or needs a machine for itself, is run too: `NIGHTJAR_TEST_LONG=1`.
    static let runsLong = variables["NIGHTJAR_TEST_LONG"] == "1"

    /// For data and sockets; short, because sockets' paths are.
    static let temporary: String = variables["TMPDIR"] ?? "/tmp"

    /// What children of the tests get: no `NIGHTJAR_` variable but the mark by which leftovers are found.
    static let childVariables: [String: String] = variables.filter { key, _ in
        !key.hasPrefix("NIGHTJAR_") || key == "NIGHTJAR_TEST_RUN"
    }
}

/// Something that the test's own machinery could not do.
struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Polls until `condition` gives a value.
func eventually<R>(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> R?
) async throws -> R {
    let deadline = ContinuousClock.now + limit
    while true {
        if let result = try await condition() { return result }
        guard ContinuousClock.now < deadline else { throw TestFailure("not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}

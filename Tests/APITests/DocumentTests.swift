import API
import Foundation
import Hummingbird
import SandboxModel
import Testing
import Yams

@testable import HTTPKit

/// The hand-written document, the program that serves it and the types behind it say the same.
@Suite struct DocumentTests {
    private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Sources/API/openapi.yaml").standardizedFileURL

    private func document() throws -> [String: Any] {
        try #require(try Yams.load(yaml: OpenAPIDocument.text) as? [String: Any])
    }

    private func schema(_ name: String) throws -> [String: Any] {
        let components = try #require(try document()["components"] as? [String: Any])
        let schemas = try #require(components["schemas"] as? [String: Any])
        return try #require(schemas[name] as? [String: Any], "\(name)")
    }

    @Test func `the program carries the very document that lies in the sources`() throws {
        var text = try String(contentsOf: Self.file, encoding: .utf8)
        if ProcessInfo.processInfo.environment["NIGHTJAR_WRITE_DOCUMENT"] != nil {
            text = DocumentResponses.complete(text)
            try text.write(to: Self.file, atomically: true, encoding: .utf8)
            try Self.write(text)
        } else {
            #expect(OpenAPIDocument.text == text, "run: make docs")
        }
    }

    @Test func `the reference of the interface has every operation and schema`() throws {
        let reference = try APIReference(text: OpenAPIDocument.text).markdown
        for match in OpenAPIDocument.text.matches(of: /operationId: (\w+)/) {
            #expect(reference.contains("### \(match.1)\n"), "\(match.1)")
        }
        let components = try #require(try document()["components"] as? [String: Any])
        for name in try #require(components["schemas"] as? [String: Any]).keys {
            #expect(reference.contains("### Schema \(name)\n"), "\(name)")
        }
        // For a look at it: what is made lies where build products lie.
        let folder = Self.file.deletingLastPathComponent().appendingPathComponent("../../out/reference")
            .standardizedFileURL
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try reference.write(to: folder.appendingPathComponent("api.md"), atomically: true, encoding: .utf8)
    }

    /// Held in `make test`; whoever changes the document need not regenerate at once.
    private static let isHeld = ["NIGHTJAR_TEST_CURRENT", "NIGHTJAR_WRITE_DOCUMENT"].contains {
        ProcessInfo.processInfo.environment[$0] != nil
    }

    @Test(.enabled(if: isHeld)) func `the reference of the interface is current`() throws {
        let target = Self.file.deletingLastPathComponent()
            .appendingPathComponent("../../docs/reference/api.md").standardizedFileURL
        let text = DocumentResponses.complete(try String(contentsOf: Self.file, encoding: .utf8))
        let reference = try APIReference(text: text).markdown
        if ProcessInfo.processInfo.environment["NIGHTJAR_WRITE_DOCUMENT"] != nil {
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try reference.write(to: target, atomically: true, encoding: .utf8)
        } else {
            #expect(try String(contentsOf: target, encoding: .utf8) == reference, "run: make docs")
        }
    }

    /// Writes the document's sources again, in parts, as no source file is very long.
    private static func write(_ text: String) throws {
        let folder = file.deletingLastPathComponent().appendingPathComponent("Document")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        let size = 380
        let count = (lines.count + size - 1) / size
        for part in 1...count {
            let own = lines.dropFirst((part - 1) * size).prefix(size)
            let body = own.map { $0.isEmpty ? "" : "        " + $0 }.joined(separator: "\n")
            let source = """
                // Made from openapi.yaml; see OpenAPIDocument.swift.
                extension OpenAPIDocument {
                    static let part\(part) = #\"""
                \(body)
                        \"""# + "\\n"
                }

                """
            try source.write(
                to: folder.appendingPathComponent("OpenAPIDocument+Part\(part).swift"), atomically: true,
                encoding: .utf8)
        }
        let sum = (1...count).map { "part\($0)" }.joined(separator: " + ")
        let target = folder.appendingPathComponent("OpenAPIDocument.swift")
        let source = try String(contentsOf: target, encoding: .utf8)
        try source.replacing(/= part.*/, with: "= \(sum)").write(to: target, atomically: true, encoding: .utf8)
    }

    @Test func `every route is documented and every documented path is a route`() async throws {
        let paths = try #require(try document()["paths"] as? [String: [String: Any]])
        let methods = Set(["get", "head", "post", "put", "patch", "delete"])
        var documented = Set<String>()
        for (path, item) in paths {
            for method in item.keys where methods.contains(method) {
                documented.insert("\(method.uppercased()) \(path)")
            }
        }
        let written = documented
        try await APIHarness.with { harness in
            let served = Set(harness.responder.routes)
            #expect(served.subtracting(written) == [])
            #expect(written.subtracting(served) == [])
            #expect(served.count > 40)
        }
    }

    @Test func `every operation has a name of its own and lists each error that it may answer with`() throws {
        let paths = try #require(try document()["paths"] as? [String: [String: Any]])
        var names: [String] = []
        for (path, item) in paths {
            for case let (method, operation as [String: Any]) in item where method != "parameters" {
                names.append(try #require(operation["operationId"] as? String, "\(path)"))
                let responses = try #require(operation["responses"] as? [String: Any], "\(path)")
                #expect(responses["default"] == nil, "\(method) \(path): a default response would allow everything")
            }
        }
        #expect(Set(names).count == names.count)
        let text = try String(contentsOf: Self.file, encoding: .utf8)
        #expect(DocumentResponses.complete(text) == text, "run: make docs")
    }

    @Test func `every error code stands with the response of its status`() throws {
        let components = try #require(try document()["components"] as? [String: Any])
        let responses = try #require(components["responses"] as? [String: [String: Any]])
        for row in SandboxError.Code.table {
            let description = responses["\(row.httpStatus)"]?["description"] as? String ?? ""
            #expect(description.contains("`\(row.code.rawValue)`"), "\(row.code.rawValue) belongs to \(row.httpStatus)")
        }
    }

    @Test func `every reference has a target`() throws {
        let document = try document()
        var references: [String] = []
        func walk(_ value: Any) {
            if let map = value as? [String: Any] {
                if let reference = map["$ref"] as? String { references.append(reference) }
                for inner in map.values { walk(inner) }
            } else if let list = value as? [Any] {
                for inner in list { walk(inner) }
            }
        }
        walk(document)
        #expect(references.count > 50)
        for reference in Set(references) {
            var target: Any? = document
            for part in reference.dropFirst(2).split(separator: "/") {
                target = (target as? [String: Any])?[String(part)]
            }
            #expect(target != nil, "\(reference)")
        }
    }

    @Test func `the error codes are those of the table, with the same statuses`() throws {
        let listed = try #require(try schema("ErrorCode")["enum"] as? [String])
        #expect(Set(listed) == Set(SandboxError.Code.table.map(\.code.rawValue)))
        for row in SandboxError.Code.table {
            #expect(OpenAPIDocument.text.contains("- \(row.code.rawValue) # \(row.httpStatus)\n"))
        }
    }

    @Test func `every code that the sources define has a row`() throws {
        let source = Self.file.deletingLastPathComponent().appendingPathComponent("../SandboxModel/SandboxError.swift")
        let text = try String(contentsOf: source, encoding: .utf8)
        let codes = text.matches(of: /Self\(rawValue: "([a-z_]+)"\)/).map { String($0.1) }
        #expect(codes.count > 30)
        #expect(Set(codes) == Set(SandboxError.Code.table.map(\.code.rawValue)))
        #expect(Set(codes).count == SandboxError.Code.table.count)
    }

    private func check(_ name: String, _ value: some Encodable, _ location: SourceLocation = #_sourceLocation) throws {
        let schema = try schema(name)
        let properties = Set(try #require(schema["properties"] as? [String: Any]).keys)
        let required = Set(schema["required"] as? [String] ?? [])
        let encoded = try JSONSerialization.jsonObject(with: Data(try JSONOutput.bytes(value)))
        let keys = Set(try #require(encoded as? [String: Any]).keys)
        #expect(keys == properties, sourceLocation: location)
        #expect(required.isSubset(of: properties), sourceLocation: location)
    }

    @Test func `resources have exactly the documented fields`() throws {
        let time = Timestamp(unixNanoseconds: 0)
        let exit = ExitResource(
            code: 1, signal: 1, timedOut: false, cause: .signal, endedAt: time, cpuSeconds: 0, maxMemoryBytes: 0)
        try check("Exit", exit)
        try check(
            "Process",
            ProcessResource(
                id: 1, pid: 1, command: [], directory: "", user: "", terminal: false, background: false,
                startedAt: time,
                outputStart: 0, outputEnd: 0, exit: exit))
        try check(
            "Sandbox",
            SandboxResource(
                id: SandboxID(), name: "x", durable: true, state: .running, awakeBecause: [], template: "",
                templateVersion: "",
                isolation: "", labels: [:], lifecycle: .init(maxAge: 1), limits: .init(), network: .none,
                createdAt: time,
                stateChangedAt: time, lastActiveAt: time, idleAt: time, expiresAt: time, wakes: 0, checkpointBytes: 0,
                problem: .init(code: .noSpace, message: "", at: time)))
        try check("LifecycleSpec", LifecyclePolicy(maxAge: 1))
        try check("LimitsSpec", ResourceLimits(diskMiB: 64, execTimeout: 1))
        try check("LimitsSpec", LimitsSpec(ResourceLimits(diskMiB: 64, execTimeout: 1)))
        try check("SandboxSpec", SandboxSpec(name: "x", isolation: .auto))
        try check("Output", OutputResource(chunks: [], nextOffset: 0, exit: exit))
        try check("OutputChunk", OutputChunkResource(offset: 0, stream: "", dataBase64: ""))
        try check(
            "ExecResult",
            ExecResource(
                id: 1, exitCode: 0, signal: 1, timedOut: false, cause: .signal, stdout: "", stderr: "",
                stdoutBase64: "",
                stderrBase64: "",
                stdoutTruncated: false, stderrTruncated: false, durationMs: 0))
        try check(
            "File",
            FileResource(
                path: "", pathBase64: "", kind: .file, size: 0, mode: "", uid: 0, gid: 0, modifiedAt: time, target: ""))
        try check("WatchEvent", WatchEventResource(kind: .renamed, path: "", from: ""))
        try check("Event", EventResource(sequence: 1, at: time, sandbox: SandboxID(), name: "", type: "", detail: [:]))
        try check(
            "Key", KeyResource(id: "", label: "", scopes: [], createdAt: time, expiresAt: time, secret: ""))
        try check(
            "AuditEntry",
            AuditResource(
                sequence: 1, at: time, who: "", label: "", from: "", method: "", route: "", target: "", requestID: "",
                status: 1, code: "", durationMs: 1))
        try check(
            "AuditVerification",
            AuditVerificationResource(intact: true, brokenAt: 1, rows: 1, headSequence: 1, headHash: ""))
        try check("KeyRequest", KeyRequest(scopes: [], label: "", expiresIn: 1))
        let use = UsageResource.Item(
            sandbox: SandboxID(), name: "", deletedAt: time, label: "", value: "", from: time, to: time, cpuSeconds: 0,
            runningSeconds: 0, memoryGiBSeconds: 0, limitGiBSeconds: 0, standbySeconds: 0, standbyGiBSeconds: 0)
        try check("UsageItem", use)
        try check("Usage", UsageResource(from: time, to: time, items: [use], nextCursor: ""))
        let capacity = NodeCapacity(memoryMiB: 1, cpus: 1, sandboxes: 1)
        try check("Capacity", capacity)
        try check(
            "Node",
            NodeResource(
                capacity: capacity, overcommit: .init(memory: 1, cpus: 1), reserved: capacity,
                host: .init(memoryTotalBytes: 0, memoryAvailableBytes: 0, memoryReserveBytes: 0, cpus: 1),
                queue: .init(
                    waiting: 0, limit: 0, longestWait: 0, timeout: 0, fairLabel: "", starting: 0, parallelStarts: 0,
                    leaving: 0)))
        try check("Version", VersionResource(version: "", api: "", wireGeneration: 1))
        try check("Health", HealthResource(status: "ok", sandboxes: [:], prebooted: 0))
        var request = ExecRequest(command: [])
        (request.env, request.directory, request.user, request.timeout) = ([:], "", "", 1)
        (request.limits, request.retainedOutput) = ([], 1)
        var (exec, process) = (request, request)
        (exec.stdin, exec.stdinBase64, exec.maxOutput) = ("", "", 1)
        (process.openStdin, process.terminal, process.background) = (true, .init(columns: 1, rows: 1), true)
        try check("ExecRequest", exec)
        try check("ProcessRequest", process)
    }
}

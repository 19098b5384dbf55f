import Foundation
import SandboxModel
import Testing

@Suite struct ModelTests {
    @Test func `every state can be left or is an end, and only for states that exist`() {
        #expect(Set(SandboxState.transitions.keys) == Set(SandboxState.allCases))
        for state in SandboxState.allCases {
            #expect(!state.canBecome(state))
            if state != .stopping { #expect(state.canBecome(.stopping)) }
            #expect(!state.canBecome(.creating))
        }
        #expect(!SandboxState.standby.canBecome(.running))
        #expect(!SandboxState.running.canBecome(.standby))
    }

    @Test func `every error code has one row`() throws {
        // The codes as they are declared, so that none is forgotten.
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/SandboxModel/SandboxError.swift").standardizedFileURL
        let text = try String(contentsOf: source, encoding: .utf8)
        let declared = text.split(separator: "\n").compactMap { line -> String? in
            guard line.contains("public static let"), let open = line.range(of: "rawValue: \"") else { return nil }
            return String(line[open.upperBound...].prefix { $0 != "\"" })
        }
        #expect(declared.count > 30)
        #expect(Set(declared).count == declared.count)
        #expect(Set(SandboxError.Code.table.map(\.code.rawValue)) == Set(declared))
        #expect(SandboxError.Code.table.count == declared.count)
    }

    @Test func `a code of a newer server survives, as an internal error`() throws {
        let code = try JSONDecoder().decode([SandboxError.Code].self, from: Data(#"["from_the_future"]"#.utf8))[0]
        #expect(code.rawValue == "from_the_future")
        #expect(code.row.httpStatus == 500)
    }

    @Test(arguments: ["a", "a-b", "9", String(repeating: "x", count: 63)])
    func `good names`(name: String) throws {
        _ = try SandboxSpec(name: name).validated()
    }

    @Test(arguments: [
        "", "-a", "a-", "A", "a b", "a/b", "..", "ü", "sb_abc", "a\u{0}", String(repeating: "x", count: 64),
    ])
    func `bad names`(name: String) {
        #expect(code { _ = try SandboxSpec(name: name).validated() } == .invalidName)
    }

    @Test func `values out of their bounds are refused`() {
        let bad: [SandboxSpec] = [
            SandboxSpec(lifecycle: LifecyclePolicy(idleTimeout: 0.5)),
            SandboxSpec(lifecycle: LifecyclePolicy(idleTimeout: .nan)),
            SandboxSpec(lifecycle: LifecyclePolicy(idleTimeout: .infinity)),
            SandboxSpec(lifecycle: LifecyclePolicy(maxAge: 0)),
            SandboxSpec(limits: LimitsSpec(memoryMiB: 1)), SandboxSpec(limits: LimitsSpec(diskMiB: 63)),
            SandboxSpec(limits: LimitsSpec(cpuWeight: 0)),
            SandboxSpec(limits: LimitsSpec(openFiles: 1)), SandboxSpec(limits: LimitsSpec(execTimeout: 0)),
            SandboxSpec(limits: LimitsSpec(retainedOutput: 1)),
            SandboxSpec(limits: LimitsSpec(cpus: 0)),
            SandboxSpec(limits: LimitsSpec(pids: 1)),
            SandboxSpec(labels: ["a=b": "c"]),
            SandboxSpec(labels: ["": "c"]),
            SandboxSpec(labels: ["a": "line\nbreak"]),
            SandboxSpec(labels: Dictionary(uniqueKeysWithValues: (0..<33).map { ("k\($0)", "v") })),
            SandboxSpec(environment: ["A=": "x"]),
            SandboxSpec(environment: ["A": "x\u{0}"]),
            SandboxSpec(environment: ["A": String(repeating: "x", count: 200_000)]),
        ]
        for spec in bad { #expect(code { _ = try spec.validated() } == .invalidRequest, "\(spec)") }
        #expect(throws: Never.self) { try SandboxSpec().validated() }
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (1_795_262_400_000_000_000, "2026-11-21T12:00:00.000000Z"),
        (951_782_400_123_456_000, "2000-02-29T00:00:00.123456Z"),
        (4_107_542_399_999_999_000, "2100-02-28T23:59:59.999999Z"),
    ])
    func `times in RFC 3339`(nanoseconds: Int64, text: String) {
        #expect(Timestamp(unixNanoseconds: nanoseconds).description == text)
        #expect(Timestamp(text) == Timestamp(unixNanoseconds: nanoseconds))
    }

    @Test(arguments: [
        "", "2026", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00.Z",
    ])
    func `no times`(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func `identifiers accept only what they make`() {
        for _ in 0..<100 {
            let id = SandboxID()
            #expect(SandboxID(id.rawValue) == id)
            #expect(ExecutionID(id.rawValue) == nil)
        }
        for text in [
            "", "sb_", "sb_abc", "sb_ABCDEFGHIJKLMNOPQRST", "sb_" + String(repeating: "1", count: 20), "../etc/passwd",
        ] {
            #expect(SandboxID(text) == nil)
        }
    }

    @Test func `a change says keep, clear or set`() throws {
        func decode(_ text: String) throws -> LifecycleChange {
            try JSONDecoder().decode(LifecycleChange.self, from: Data(text.utf8))
        }
        let policy = LifecyclePolicy(idleTimeout: 5, onIdle: .stop, maxAge: 100, autoResume: false)
        #expect(try decode("{}").applied(to: policy) == policy)
        #expect(try decode(#"{"max_age": null}"#).applied(to: policy).maxAge == nil)
        #expect(try decode(#"{"max_age": 7}"#).applied(to: policy).maxAge == 7)
        #expect(try decode(#"{"idle_timeout": 9, "on_idle": "none"}"#).applied(to: policy).onIdle == .none)
        for text in ["{}", #"{"max_age":null}"#, #"{"max_age":7}"#] {
            let encoded = try JSONEncoder().encode(try decode(text))
            #expect(String(decoding: encoded, as: UTF8.self) == text)
        }
        #expect(throws: (any Error).self) { try decode(#"{"max_age": "x"}"#) }
    }

    @Test(arguments: [
        ("", false), ("a", true), ("a b", false), ("ü", false), (String(repeating: "k", count: 256), false),
    ])
    func `idempotency keys`(key: String, isValid: Bool) {
        #expect(Idempotency.isValid(key: key) == isValid)
    }

    private func code(_ body: () throws -> Void) -> SandboxError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? SandboxError)?.code
        }
    }
}

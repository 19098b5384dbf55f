import API
import Access
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import SandboxImages
import SandboxModel
import SandboxRuntime
import SandboxStorage
import StoreSQLite
import Testing

@testable import HTTPKit

/// The API over a real runtime with a store of its own and no driver: nothing can run, everything can be asked for.
struct APIHarness: Sendable {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPFields
        var body: String
        /// Of an error.
        var code: String?
    }

    let responder: APIResponder
    let access: AccessControl
    let audit: AuditLog

    static func with(_ body: @escaping @Sendable (APIHarness) async throws -> Void) async throws {
        let directory = NSTemporaryDirectory() + "nightjar-api-\(randomToken(10))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let guestInit = directory + "/init"
        try Data("not a program".utf8).write(to: URL(fileURLWithPath: guestInit))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let storage = try DataDirectory(path: directory + "/data")
        let store = try SQLiteStore(path: storage.databasePath)
        let access = try await AccessControl(store: store, fileKey: "nj_test") {
            Timestamp(unixNanoseconds: 1_000_000_000_000)
        }
        let audit = AuditLog(store: store, logger: logger) { Timestamp(unixNanoseconds: 1_000_000_000_000) }
        let runtime = SandboxRuntime(
            store: store, usage: store, drivers: [:], storage: storage,
            images: TemplateStore(directory: storage), configuration: RuntimeConfiguration(initBinary: guestInit),
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await audit.run() }
            group.addTask { try await runtime.run() }
            group.addTask {
                let end = ContinuousClock.now + .seconds(10)
                while !runtime.isReady, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(5)) }
                #expect(runtime.isReady)
                let router = APIService(runtime: runtime, access: access, audit: audit).router()
                try await body(
                    APIHarness(
                        responder: APIResponder(router: router, access: access, audit: audit, logger: logger),
                        access: access, audit: audit))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, headers: HTTPFields = [:],
        listener: Listener = .unix
    ) async throws -> Answer {
        var fields = headers
        if let body {
            fields[.contentLength] = "\(body.utf8.count)"
            if fields[.contentType] == nil { fields[.contentType] = "application/json" }
        }
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: "x", path: path, headerFields: fields),
            body: RequestBody(buffer: ByteBuffer(string: body ?? "")))
        let connection = Connection(listener: listener, address: "test-\(randomToken(6))")
        let response = await responder.respond(to: request, connection: connection, output: nil, upgrade: nil)
        let collected = CollectedBody()
        try await response.body.write(collected)
        let text = collected.buffers.map { String(buffer: $0) }.joined()
        let error = try? JSONDecoder().decode(ErrorResource.self, from: Data(text.utf8))
        return Answer(
            status: response.status.code, headers: response.headers, body: text, code: error?.error.code.rawValue)
    }
}

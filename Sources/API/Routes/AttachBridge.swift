internal import GuestClient
internal import HTTPKit
internal import NIOCore
internal import SandboxModel
internal import Wire

/// Couples a WebSocket with an attached process until either ends.
struct AttachBridge: Sendable {
    let socket: WebSocketConnection
    let stream: ProcessStream
    let session: GuestSession

    func run() async throws {
        struct Attached: Encodable {
            let type = "attached"
            let process: ProcessResource
            let offset: Int64
        }
        let attached = Attached(process: ProcessResource(stream.info), offset: stream.startOffset)
        try await socket.send(.text(JSONOutput.string(attached)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await forwardOutput() }
            group.addTask { try await forwardInput() }
            defer { group.cancelAll() }
            // Either the process exited, or the peer closed: the other direction has no purpose any more.
            try await group.next()
        }
        await stream.detach()
    }

    private func forwardOutput() async throws {
        while let event = try await stream.next() {
            switch event {
            case .output(let bytes, let stderr, _):
                var buffer = ByteBuffer()
                buffer.reserveCapacity(bytes.count + 1)
                buffer.writeInteger(UInt8(stderr ? 2 : 1))
                buffer.writeBytes(bytes)
                try await socket.send(.binary(buffer))
            case .exited(let exit):
                struct Exit: Encodable {
                    let type = "exit"
                    let exit: ExitResource
                }
                try await socket.send(.text(JSONOutput.string(Exit(exit: ExitResource(exit)))))
                return
            }
        }
    }

    private func forwardInput() async throws {
        while let message = try await socket.next() {
            do {
                switch message {
                case .binary(var buffer):
                    guard buffer.readInteger(as: UInt8.self) == 0 else {
                        throw SandboxError(.invalidRequest, "A binary message must begin with channel 0.")
                    }
                    try await stream.write(Array(buffer.readableBytesView))
                case .text(let text): try await obey(try StrictJSON.decode(AttachCommand.self, from: Array(text.utf8)))
                case .close: return
                }
            } catch let error as SandboxError where error.code == .processExited {
                // The exit is on its way to the peer already.
                continue
            }
        }
    }

    private func obey(_ command: AttachCommand) async throws {
        let id = stream.info.id
        switch command.type {
        case .resize:
            let size = try TerminalSize.check(columns: command.columns ?? 0, rows: command.rows ?? 0)
            try await session.resize(process: id, columns: size.0, rows: size.1)
        case .closeStdin: try await stream.closeInput()
        case .signal:
            guard let signal = command.signal else {
                throw SandboxError(.invalidRequest, "The field signal is missing.")
            }
            try await session.signal(process: id, signal: signal.number, group: true)
        }
    }
}

/// A text message of the client.
struct AttachCommand: Decodable {
    enum Kind: String, Decodable {
        case resize
        case closeStdin = "close_stdin"
        case signal
    }
    let type: Kind
    let columns: Int?
    let rows: Int?
    let signal: SignalNumber?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case type, columns, rows, signal
    }
}

/// Couples a WebSocket with a TCP connection inside the sandbox until either ends.
struct PortBridge: Sendable {
    let socket: WebSocketConnection
    let tunnel: ByteTunnel

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while let bytes = try await tunnel.next() { try await socket.send(.binary(ByteBuffer(bytes: bytes))) }
            }
            group.addTask {
                while let message = try await socket.next() {
                    switch message {
                    case .binary(let buffer): try await tunnel.write(Array(buffer.readableBytesView))
                    case .text(let text): try await obey(text)
                    case .close: return
                    }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
        tunnel.close()
    }

    /// The one text message: half a close, which WebSocket itself does not have.
    private func obey(_ text: String) async throws {
        struct Command: Decodable {
            enum Kind: String, Decodable { case closeWrite = "close_write" }
            let type: Kind
            enum CodingKeys: String, CodingKey, CaseIterable { case type }
        }
        _ = try StrictJSON.decode(Command.self, from: Array(text.utf8))
        try await tunnel.closeWrite()
    }
}
